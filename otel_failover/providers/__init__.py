"""Provider adapters: where one logical SDK call begins and ends."""
