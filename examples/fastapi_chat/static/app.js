"use strict";

const $ = (id) => document.getElementById(id);

const PROVIDERS = {
  openai: "OpenAI", anthropic: "Anthropic", "gcp.gemini": "Google", "aws.bedrock": "Amazon Bedrock",
  "azure.ai.openai": "Azure OpenAI", mistral_ai: "Mistral",
};

// reason -> [tone, what happened, what it means]; a reason that is not here shows the title that came with it.
const WORDS = {
  model_not_found: ["setup", "Wrong model name",
    (c) => `There is no model of this name at ${who(c)}. Somebody has to correct the name; trying again will not help.`],
  billing: ["wait", "Quota used up",
    (c) => `The account at ${who(c)} has used up its quota. The model itself is fine; it answers again once there is quota.`],
  rate_limit: ["wait", "Too many requests",
    (c) => `${who(c)} takes no more requests for the moment. Try again in a minute.`],
  auth: ["setup", "Key not accepted", (c) => `${who(c)} does not accept the key of this service. Somebody has to correct it.`],
  permission: ["setup", "Not permitted", (c) => `The account at ${who(c)} may not use this model. Somebody has to change that.`],
  timeout: ["down", "No answer in time", (c) => `${who(c)} was asked, and did not answer in time. Try again later.`],
  overloaded: ["down", "Overloaded", (c) => `${who(c)} has too much to do. Try again later.`],
  server_error: ["down", "Trouble at the provider", (c) => `${who(c)} failed to answer. Try again later.`],
  connection: ["down", "Not reached", (c) => `${who(c)} could not be reached. Try again later.`],
  partial_stream: ["down", "Broke off", (c) => `${who(c)} began to answer, then the connection broke off.`],
  context_overflow: ["none", "Message too long", () => "Your message is too long for this model. Shorten it."],
  content_policy: ["none", "Declined", (c) => `${who(c)} declined to answer this message.`],
};

function who(candidate) {
  return PROVIDERS[candidate.provider] || candidate.provider || "the provider";
}

function wordsFor(candidate) {
  if (candidate.outcome === "untried") return ["none", "Not asked", "It was not this model's turn."];
  if (candidate.outcome === "success") return ["well", "Answered", ""];
  const known = WORDS[candidate.reason];
  if (known) return [known[0], known[1], known[2](candidate)];
  return ["none", candidate.title.charAt(0).toUpperCase() + candidate.title.slice(1), ""];
}

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

function row(candidate) {
  const [tone, what, meaning] = wordsFor(candidate);
  const item = element("li", tone);
  const heading = element("h3");
  const name = element("span");
  name.append(element("span", "model", candidate.model_name || "a model"), ` · ${who(candidate)}`);
  heading.append(name, element("span", "what", what));
  item.append(heading);
  if (meaning) item.append(element("p", "", meaning));
  const fact = candidate.status_code ? `Answered with HTTP ${candidate.status_code}` : candidate.attempts ? "Gave no answer" : "";
  const times = candidate.attempts > 1 ? `, tried ${candidate.attempts} times` : "";
  if (fact && candidate.outcome !== "success") item.append(element("p", "fact", `${fact}${times}.`));
  return item;
}

function showFailure(problem) {
  const candidates = problem.candidates || [];
  $("failure-title").textContent = problem.title || "It did not work";
  $("failure-lead").textContent = candidates.length ? "What each model did, in the order they were asked:" : "Nothing more is known.";
  $("candidates").replaceChildren(...candidates.map(row));
  $("raw").textContent = JSON.stringify(problem, null, 2);
  $("failure").hidden = false;
  const told = candidates.map((c) => `${c.model_name || "a model"}: ${wordsFor(c)[1]}`).join(". ");
  $("alert").textContent = `${problem.title}. ${told}`;
}

function begin() {
  $("failure").hidden = true;
  $("answer-section").hidden = true;
  $("answer").textContent = $("alert").textContent = "";
  $("progress").textContent = "Asking…";
  $("send").setAttribute("aria-disabled", "true");
}

function end() {
  $("progress").textContent = "";
  $("send").removeAttribute("aria-disabled");
}

function showText(text) {
  $("answer-section").hidden = false;
  $("answer").textContent += text;
}

async function askByRest(question) {
  const response = await fetch("/chat", {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(question),
  });
  const body = await response.json();
  if (response.ok) showText(body.text);
  else showFailure(body);
}

function askBySocket(question) {
  return new Promise((resolve) => {
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`);
    let over = false;
    const finish = () => { over = true; socket.close(); resolve(); };
    socket.onopen = () => socket.send(JSON.stringify(question));
    socket.onmessage = ({ data }) => {
      const event = JSON.parse(data);
      if (event.type === "text") showText(event.text);
      if (event.type === "error") showFailure(event);
      if (event.type !== "text") finish();
    };
    socket.onclose = () => { if (!over) { showFailure({ title: "The connection to this service was lost" }); resolve(); } };
  });
}

$("form").addEventListener("submit", async (submitted) => {
  submitted.preventDefault();
  if ($("send").getAttribute("aria-disabled")) return;
  const question = { message: $("message").value, chain: $("chain").value };
  const way = new FormData($("form")).get("way");
  begin();
  try {
    await (way === "rest" ? askByRest(question) : askBySocket(question));
  } catch {
    showFailure({ title: "This service did not answer" });
  } finally {
    end();
  }
});

$("message").addEventListener("keydown", (pressed) => {
  if (pressed.key === "Enter" && (pressed.ctrlKey || pressed.metaKey)) $("form").requestSubmit();
});

fetch("/chains").then((response) => response.json()).then((names) => {
  $("chain").replaceChildren(...names.map((name) => new Option(name, name)));
});
