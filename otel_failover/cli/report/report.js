"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const page = 200; // so many lines are drawn at once, and opened for a print-out

  // --- small helpers: texts are set as texts, never as markup ---------------------------------------------------------

  const element = (tag, attributes = {}, ...inside) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "class") made.className = value;
      else made.setAttribute(name, value);
    }
    made.append(...inside.filter((each) => each !== "" && each !== null && each !== undefined));
    return made;
  };
  const seconds = (milliseconds) => {
    const value = (milliseconds || 0) / 1000;
    return value < 0.0995 ? `${Math.round(value * 1000)} ms` : value < 99.5 ? `${value.toFixed(1)} s` : `${Math.round(value)} s`;
  };
  const many = (number, what, more = "s") => `${number.toLocaleString("en")} ${what}${number === 1 ? "" : more}`;
  const when = (milliseconds) => new Date(milliseconds).toISOString().replace("T", " ").slice(0, 19);

  // --- what each is, once ---------------------------------------------------------------------------------------------

  const steps = ["candidate", "skip", "call"];
  const tone = (row) => {
    if (row.claim) return "lie";
    if (row.outcome === "success" || row.outcome === "primary" || row.outcome === "fallback") return "good";
    return row.failed || ["error", "partial", "exhausted", "stopped"].includes(row.outcome) ? "bad" : "";
  };
  const all = data.entries.map((entry) => {
    const rows = entry.rows || [];
    const path = rows.filter((row) => steps.includes(row.kind) && row.outcome);
    const findings = entry.findings || [];
    const lies = rows.filter((row) => row.claim);
    const texts = [entry.name, entry.service, entry.around, entry.trace_id, entry.run_id, entry.library,
      entry.outcome, entry.message, ...findings.flatMap((each) => [each.rule, each.sentence]),
      ...rows.flatMap((row) => [row.name, row.who, row.said, row.message, row.host, row.claim && row.claim.message])];
    return {
      entry, rows, path, findings, lies, item: null, detail: null,
      providers: new Set(rows.map((row) => row.provider).filter(Boolean)),
      rules: new Set([...rows.map((row) => row.claim ? row.claim.rule : row.rule), ...findings.map((each) => each.rule)]
        .filter(Boolean)),
      words: texts.filter(Boolean).join("\n").toLowerCase(),
    };
  });

  // --- one line each --------------------------------------------------------------------------------------------------

  const list = byId("incidents");
  const drawn = (each) => {
    const { entry, path, lies, findings } = each;
    const along = element("span", { class: "path" });
    path.forEach((row, place) => {
      const label = `${row.who || row.name} ${row.kind === "skip" ? "skipped" : row.claim ? "✗" : row.outcome === "success" ? "✓" : row.reason || row.outcome}`;
      along.append(place ? " → " : "", element("span", { class: tone(row) }, label));
    });
    if (!path.length) along.append(entry.message || "");
    const badges = element("span");
    badges.append(element("span", { class: tone({ outcome: entry.outcome }) }, entry.outcome || ""), " ",
      element("span", { class: "dim" }, seconds(entry.duration)));
    if (lies.length) badges.append(element("span", { class: "badge lie" }, many(lies.length, "mismatch", "es")));
    const warnings = findings.filter((finding) => finding.level !== "info").length;
    if (warnings) badges.append(element("span", { class: "badge bad" }, many(warnings, "finding")));
    const head = element("button", { class: "head", type: "button", "aria-expanded": "false" },
      element("time", { datetime: new Date(entry.start).toISOString() }, when(entry.start)),
      element("span", { class: "name", title: entry.name }, entry.name + (entry.service ? ` · ${entry.service}` : "")),
      along, badges);
    head.addEventListener("click", () => toggle(each));
    each.item = element("li", { class: "incident" }, head);
    each.head = head;
    return each.item;
  };

  // --- the waterfall, when it is looked at ----------------------------------------------------------------------------

  const toggle = (each, open = !each.detail || each.detail.hidden) => {
    if (open && !each.detail) each.item.append((each.detail = detailed(each)));
    if (each.detail) each.detail.hidden = !open;
    each.head.setAttribute("aria-expanded", String(open));
  };

  const detailed = (each) => {
    const { entry, rows, findings } = each;
    const total = Math.max(...rows.map((row) => (row.start || 0) + (row.duration || 0)), 0.001);
    const copy = element("button", { type: "button" }, "Copy as text");
    copy.addEventListener("click", () => copied(each, copy));
    const facts = [entry.library && `loop of ${entry.library}`, entry.around && `inside ${entry.around}`,
      entry.wasted && `${seconds(entry.wasted * 1000)} in candidates that did not serve it`, `trace ${entry.trace_id}`,
      entry.run_id && `run ${entry.run_id}`].filter(Boolean).join(" · ");
    const body = element("tbody");
    let above = ""; // what a candidate says its call says too
    for (const row of rows) {
      body.append(...lines(each, row, total, above));
      above = row.message || (row.claim && row.claim.message) || above;
    }
    return element("div", { class: "detail" },
      element("div", { class: "tools" }, copy, element("span", { class: "dim" }, facts)),
      element("table", { class: "falls" },
        element("thead", {}, element("tr", {}, element("th", { class: "what", scope: "col" }, "span"),
          element("th", { class: "became", scope: "col" }, "what became of it, by its own evidence"),
          element("th", { scope: "col" }, `0 to ${seconds(total)}`))),
        body),
      findings.length ? element("ul", { class: "findings" }, ...findings.map((finding) => element("li", {},
        element("b", { class: finding.level === "info" ? "dim" : "bad" }, finding.rule),
        finding.sentence ? `: ${finding.sentence}` : ""))) : "");
  };

  const lines = (each, row, total, above) => {
    const what = element("td", { class: "what" });
    what.style.paddingLeft = `${0.4 + (row.depth || 0) * 1.1}rem`;
    const isStep = row.kind === "candidate" || row.kind === "skip";
    what.append(element(isStep || row.kind === "run" ? "b" : "span", {}, isStep ? `${row.kind} ${row.who || row.name}` : row.name));
    if (!isStep && row.kind !== "run" && row.who && row.kind === "call" && row.outcome) what.append(` ${row.who}`);
    const became = element("td", { class: "became" }, element("span", { class: tone(row) }, row.said || (row.failed ? "error" : "")));
    if (row.verdict && row.verdict !== "verified") became.append(" ", element("span", { class: row.claim ? "lie" : "bad" }, row.verdict));
    else if (row.verdict && isStep) became.append(" ", element("span", { class: "dim" }, "verified"));
    if (row.requests > 1) became.append(element("span", { class: "dim" }, ` ${row.requests} requests`));
    const said = row.message && !row.claim && row.message !== above ? row.message : "";
    if (said) became.append(element("div", { class: "dim message", title: said }, said));
    if (row.host) became.append(element("div", { class: "dim" }, `the loop said: ${row.host}`));
    if (row.note) became.append(element("div", { class: "dim" }, row.note));
    const bar = element("div", { class: `bar ${tone(row)}` });
    const left = (100 * (row.start || 0)) / total, width = (100 * (row.duration || 0)) / total;
    bar.style.left = `${Math.min(left, 99.7)}%`;
    bar.style.width = `${Math.min(width, 100 - left)}%`;
    // Beside its bar, on the side that has room; a bar that fills the line is the whole, and needs none.
    const label = element("span", {}, left + width > 85 && left < 12 ? "" : seconds(row.duration));
    if (left + width > 85) label.style.right = `${100 - left}%`;
    else label.style.left = `${left + width}%`;
    const first = element("tr", { id: `span-${row.span_id}` }, what, became,
      element("td", {}, element("div", { class: "track" }, bar, label)));
    if (!row.claim) return [first];
    first.className = "accused";
    const { claim } = row;
    const by = [claim.rule, claim.bound && `bound by ${claim.bound}`].filter(Boolean).join(", ");
    const about = element("td", { colspan: "3" }, element("div", { class: "claim lie" },
      claim.source ? `✗ carries ${claim.source}'s error` : "✗ carries what only an answer can say, and had none",
      element("span", { class: "dim" }, by ? ` (${by})` : ""),
      element("dl", {},
        element("dt", {}, "it says"), element("dd", {}, [claim.facts, claim.message && `“${claim.message}”`].filter(Boolean).join(" ")),
        claim.own ? element("dt", {}, "own evidence") : "", claim.own ? element("dd", {}, claim.own) : "")));
    about.style.paddingLeft = what.style.paddingLeft;
    if (claim.source_id && each.rows.some((other) => other.span_id === claim.source_id)) {
      const go = element("button", { type: "button" }, "show where it comes from");
      go.addEventListener("click", () => pointed(claim.source_id));
      about.firstChild.append(go);
    }
    return [first, element("tr", { class: "accused" }, about)];
  };

  const pointed = (spanId) => {
    document.querySelectorAll(".pointed").forEach((other) => other.classList.remove("pointed"));
    const row = byId(`span-${spanId}`);
    row.classList.add("pointed");
    row.scrollIntoView({ block: "center" });
  };

  const copied = async (each, button) => {
    const { chat } = each.entry;
    const said = button.textContent;
    try {
      await navigator.clipboard.writeText(chat);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = said; }, 1500);
    } catch { // a page from a file may be refused: then it is shown, selected
      let area = each.detail.querySelector("textarea");
      if (!area) {
        area = element("textarea", { readonly: "", "aria-label": "Text to copy" }, chat);
        button.parentNode.after(area);
      }
      area.select();
      if (document.execCommand("copy")) button.textContent = "Copied";
    }
  };

  // --- filters --------------------------------------------------------------------------------------------------------

  const wanted = { text: byId("text"), provider: byId("provider"), outcome: byId("outcome"), rule: byId("rule"), lies: byId("lies") };
  const offer = (select, values) => {
    const counts = new Map();
    for (const value of values) if (value) counts.set(value, (counts.get(value) || 0) + 1);
    for (const value of [...counts.keys()].sort()) {
      select.append(element("option", { value }, `${value} (${counts.get(value)})`));
    }
  };
  let shown = all;
  let room = page;
  const item = (each) => each.item || drawn(each);
  const draw = () => {
    list.replaceChildren(...shown.slice(0, room).map(item));
    byId("more").hidden = shown.length <= room;
    byId("more").textContent = `${(shown.length - Math.min(room, shown.length)).toLocaleString("en")} more`;
  };
  const more = () => {
    room += page;
    draw();
  };
  const filter = () => {
    const words = wanted.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const [provider, outcome, rule] = [wanted.provider.value, wanted.outcome.value, wanted.rule.value];
    shown = all.filter((each) => (!provider || each.providers.has(provider))
      && (!outcome || each.entry.outcome === outcome) && (!rule || each.rules.has(rule))
      && (!wanted.lies.checked || each.lies.length > 0) && words.every((word) => each.words.includes(word)));
    room = page;
    draw();
    const runs = shown.filter((each) => each.entry.kind === "run").length;
    const lies = shown.reduce((sum, each) => sum + each.lies.length, 0);
    const parts = [many(runs, "run"), shown.length - runs ? `${many(shown.length - runs, "call")} outside any` : "",
      many(lies, "mismatch", "es")];
    byId("summary").textContent = `${parts.filter(Boolean).join(", ")}${shown.length < all.length ? `, of ${all.length.toLocaleString("en")} in all` : ""}`
      + ` · ${many(data.spans, "span")} read${data.calm ? `, ${many(data.calm, "call")} outside any run answered and not shown` : ""}`
      + ` · times in UTC · otel-failover ${data.version}`;
    byId("none").hidden = shown.length > 0;
    byId("none").textContent = all.length ? "Nothing fits these filters." : "No run, and no call that failed, stands in these files.";
  };

  // --- start ----------------------------------------------------------------------------------------------------------

  offer(wanted.provider, all.flatMap((each) => [...each.providers]));
  offer(wanted.outcome, all.map((each) => each.entry.outcome));
  offer(wanted.rule, all.flatMap((each) => [...each.rules]));
  if (data.problems.length) {
    byId("problems").hidden = false;
    byId("problems").append(...data.problems.slice(0, 20).map((problem) => element("li", {}, `not read: ${problem}`)));
    if (data.problems.length > 20) byId("problems").append(element("li", {}, `and ${data.problems.length - 20} more`));
  }
  filter();
  byId("filters").addEventListener("input", filter);
  byId("filters").addEventListener("change", filter);
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("filters").addEventListener("reset", () => setTimeout(filter));
  byId("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = isDark ? "light" : "dark";
  });
  byId("more").addEventListener("click", more);
  const first = shown.slice(0, room).find((each) => each.lies.length) || (all.length === 1 ? all[0] : null);
  if (first) toggle(first, true); // what somebody was paged for is open

  const at = () => shown.slice(0, room).findIndex((each) => each.item.contains(document.activeElement));
  const go = (place) => {
    if (!shown[place]) return;
    if (place >= room) more();
    shown[place].head.focus();
    shown[place].item.scrollIntoView({ block: "nearest" });
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const isTyping = event.target.matches("input[type=search], select, textarea");
    if (event.key === "Escape") { byId("filters").reset(); document.activeElement.blur(); }
    else if (isTyping) return;
    else if (event.key === "/") { event.preventDefault(); wanted.text.focus(); }
    else if (event.key === "j" || event.key === "ArrowDown" && at() >= 0) { event.preventDefault(); go(at() + 1); }
    else if (event.key === "k" || event.key === "ArrowUp" && at() >= 0) { event.preventDefault(); go(Math.max(0, at() - 1)); }
    else if (event.key === "c" && at() >= 0) {
      const each = shown[at()];
      toggle(each, true);
      copied(each, each.detail.querySelector(".tools button"));
    }
  });
  addEventListener("beforeprint", () => shown.slice(0, room).forEach((each) => toggle(each, true)));
})();
