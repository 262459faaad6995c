"use strict";

// What comes from spans goes into the document as text nodes and attribute values only.
// The page's Content-Security-Policy also forbids the ways by which text could become markup.

const SVG = "http://www.w3.org/2000/svg";
const HUES = [250, 165, 70, 305, 205, 120, 340, 275, 185, 95, 320, 225];
const main = document.getElementById("main");

// ---- elements ---------------------------------------------------------------------------------

function build(element, options, children) {
  for (const [key, value] of Object.entries(options)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "vars") for (const [name, text] of Object.entries(value)) element.style.setProperty(name, text);
    else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) if (child !== null && child !== undefined && child !== false) element.append(child);
  return element;
}
const h = (tag, options = {}, ...children) => build(document.createElement(tag), options, children);
const s = (tag, options = {}, ...children) => build(document.createElementNS(SVG, tag), options, children);

const chevron = () => s("svg", { viewBox: "0 0 12 12", width: 11, height: 11, "aria-hidden": "true" }, s("path", { d: "m2.5 4.5 3.5 3.5 3.5-3.5" }));
const failure = () => s("svg", { class: "bad", viewBox: "0 0 16 16", width: 15, height: 15, role: "img", "aria-label": "Failed" }, s("circle", { cx: 8, cy: 8, r: 7.2 }), s("path", { d: "M8 4.3v4.4M8 11.4v.1" }));
const chip = (service, count) => h("span", { class: "chip", vars: { "--hue": hue(service) } }, h("i", { class: "dot" }), service, count === undefined ? null : h("b", {}, count));

// ---- words and numbers ------------------------------------------------------------------------

function duration(us) {
  if (us < 1000) return `${us} µs`;
  if (us < 1e6) return `${(us / 1e3).toPrecision(us < 1e5 ? 3 : 4).replace(/\.?0+$/, "")} ms`;
  if (us < 60e6) return `${(us / 1e6).toFixed(2)} s`;
  return `${Math.floor(us / 60e6)} min ${Math.round((us % 60e6) / 1e6)} s`;
}
const moment = (us) => new Date(us / 1000).toLocaleString([], { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 });
function ago(us) {
  const seconds = Math.max(0, Date.now() / 1000 - us / 1e6);
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} d ago`;
}
const count = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;

// A service keeps its colour while the page is open; a taken colour passes to the next free one.
const hues = new Map();
function hue(service) {
  if (!hues.has(service)) {
    let hash = 0;
    for (const letter of service) hash = (hash * 31 + letter.codePointAt(0)) >>> 0;
    const taken = new Set(hues.values());
    let index = hash % HUES.length;
    for (let tries = 0; tries < HUES.length && taken.has(HUES[index]); tries++) index = (index + 1) % HUES.length;
    hues.set(service, HUES[index]);
  }
  return hues.get(service);
}

// ---- the query API ----------------------------------------------------------------------------

async function ask(path, signal) {
  const answer = await fetch(path, { signal, headers: { accept: "application/json" } });
  let body = null;
  try { body = await answer.json(); } catch { /* said below */ }
  if (!answer.ok) {
    const error = new Error(body?.errors?.[0]?.msg ?? `the server answered ${answer.status}`);
    error.status = answer.status;
    throw error;
  }
  return body.data ?? [];
}

// Reads `key=value key="two words"`.
function readTags(text) {
  const tags = {};
  for (const found of text.matchAll(/([^\s=]+)=("((?:[^"\\]|\\.)*)"|\S*)/g)) tags[found[1]] = found[3] === undefined ? found[2] : found[3].replace(/\\(.)/g, "$1");
  return tags;
}

// A trace with its spans as a tree. Spans whose parent is missing stand at the root.
function arrange(trace) {
  const byId = new Map();
  const spans = trace.spans.map((raw) => {
    const tags = new Map(raw.tags.map((tag) => [tag.key, tag.value]));
    const error = tags.get("error");
    return { raw, tags, id: raw.spanID, process: trace.processes[raw.processID], service: trace.processes[raw.processID]?.serviceName ?? "?", start: raw.startTime, duration: raw.duration, end: raw.startTime + raw.duration, failed: error === true || error === "true", children: [], depth: 0 };
  });
  for (const span of spans) if (!byId.has(span.id)) byId.set(span.id, span);
  const roots = [];
  for (const span of spans) {
    const reference = span.raw.references.find((item) => item.refType === "CHILD_OF" && item.traceID === span.raw.traceID);
    const parent = reference && byId.get(reference.spanID);
    if (parent && parent !== span) { parent.children.push(span); span.parent = parent; } else { roots.push(span); span.orphan = Boolean(reference); }
  }
  const ordered = [];
  const seen = new Set();
  const walk = (first) => {
    const stack = [first];
    while (stack.length) {
      const span = stack.pop();
      if (seen.has(span)) continue;
      seen.add(span);
      span.depth = span.parent && seen.has(span.parent) ? span.parent.depth + 1 : 0;
      ordered.push(span);
      span.children.sort((a, b) => b.start - a.start);
      stack.push(...span.children);
    }
  };
  roots.sort((a, b) => a.start - b.start).forEach(walk);
  // Spans in a circle have no root; a broken sender's trace is shown all the same.
  spans.forEach(walk);
  const start = spans.reduce((least, span) => Math.min(least, span.start), Infinity);
  const end = spans.reduce((most, span) => Math.max(most, span.end), 0);
  const services = new Map();
  for (const span of spans) services.set(span.service, (services.get(span.service) ?? 0) + 1);
  const root = roots.find((span) => !span.orphan) ?? ordered[0];
  return { id: trace.traceID, warnings: trace.warnings ?? [], spans: ordered, root, start, end, duration: end - start, services, errors: spans.filter((span) => span.failed).length };
}

// ---- search -----------------------------------------------------------------------------------

const PERIODS = [["15m", "Last 15 minutes", 900], ["1h", "Last hour", 3600], ["6h", "Last 6 hours", 21600], ["24h", "Last 24 hours", 86400], ["all", "All that is kept", 0]];
const ORDERS = [["new", "Newest first", (a, b) => b.start - a.start], ["long", "Longest first", (a, b) => b.duration - a.duration], ["spans", "Most spans first", (a, b) => b.spans.length - a.spans.length]];

async function showSearch(parameters, signal) {
  const value = (name, fallback = "") => parameters.get(name) ?? fallback;
  const services = (await ask("/api/services", signal)).sort();
  services.forEach(hue);
  const service = value("service");
  const operations = service ? await ask(`/api/services/${encodeURIComponent(service)}/operations`, signal) : [];

  const select = (name, options) => h("select", { name }, options.map(([key, label]) => h("option", { value: key, selected: key === value(name, options[0][0]) }, label)));
  const field = (label, control, hint) => h("label", {}, h("span", {}, label, hint && h("span", { class: "hint" }, ` ${hint}`)), control);
  const names = (list, all) => [["", all], ...list.map((name) => [name, name])];
  const form = h("form", { class: "filters", onsubmit: (event) => { event.preventDefault(); submit(); } },
    field("Service", select("service", names(service && !services.includes(service) ? [service, ...services] : services, "All services"))),
    field("Operation", select("operation", names(operations, "All operations"))),
    field("Tags", h("input", { name: "tags", value: value("tags"), placeholder: 'http.response.status_code=409', spellcheck: "false", autocomplete: "off" }), "key=value …"),
    h("div", { class: "pair" },
      field("At least", h("input", { name: "minDuration", value: value("minDuration"), placeholder: "5ms", autocomplete: "off" })),
      field("At most", h("input", { name: "maxDuration", value: value("maxDuration"), placeholder: "1.5s", autocomplete: "off" }))),
    h("div", { class: "pair" },
      field("Began in", select("period", PERIODS.map(([key, label]) => [key, label]))),
      field("Show", select("limit", [["20", "20"], ["50", "50"], ["100", "100"], ["200", "200"]]))),
    h("label", { class: "check" }, h("input", { type: "checkbox", name: "error", checked: value("error") === "true" }), "Only with errors"),
    h("button", { class: "button primary" }, "Find traces"));
  form.elements.period.value = value("period", "1h");
  form.elements.limit.value = value("limit", "50");
  function submit() {
    const next = new URLSearchParams();
    for (const [name, text] of new FormData(form)) if (text && !(name === "period" && text === "1h") && !(name === "limit" && text === "50")) next.set(name, name === "error" ? "true" : text);
    open(`/search?${next}`);
  }
  form.elements.service.addEventListener("change", () => { form.elements.operation.value = ""; submit(); });
  for (const name of ["operation", "period", "limit", "error"]) form.elements[name].addEventListener("change", submit);

  const results = h("section", { class: "results" });
  main.replaceChildren(h("div", { class: "search" }, form, results));
  const query = new URLSearchParams({ limit: value("limit", "50") });
  for (const name of ["service", "operation", "minDuration", "maxDuration"]) if (value(name)) query.set(name, value(name).trim());
  const tags = readTags(value("tags"));
  if (value("error") === "true") query.set("hasError", "true");
  if (Object.keys(tags).length) query.set("tags", JSON.stringify(tags));
  const seconds = PERIODS.find(([key]) => key === value("period", "1h"))?.[2];
  if (seconds) query.set("start", String(Date.now() * 1000 - seconds * 1e6));
  let traces;
  try {
    traces = (await ask(`/api/traces?${query}`, signal)).map(arrange);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    results.append(h("div", { class: "alert", role: "alert" }, error.message));
    return;
  }
  if (!traces.length) {
    results.append(services.length
      ? emptiness("No trace fits", "Choose a longer time, or fewer conditions.")
      : emptiness("No traces yet", "Send spans by OTLP to this server, and search again: over HTTP to ", h("code", {}, `${location.origin}/v1/traces`), ", over gRPC to the port that it printed when it started."));
    return;
  }
  showResults(results, traces, value("order", "new"));
}

function showResults(results, traces, order) {
  const longest = Math.max(...traces.map((trace) => trace.duration), 1);
  const list = h("ol", { class: "list" });
  const sorter = h("select", { "aria-label": "Order", onchange: () => fill(sorter.value) }, ORDERS.map(([key, label]) => h("option", { value: key, selected: key === order }, label)));
  const failed = traces.filter((trace) => trace.errors).length;
  const fill = (key) => list.replaceChildren(...[...traces].sort(ORDERS.find((item) => item[0] === key)?.[2] ?? ORDERS[0][2]).map((trace) => resultItem(trace, longest)));
  fill(order);
  results.append(
    h("div", { class: "listhead" }, h("h1", {}, count(traces.length, "trace")), failed ? h("span", { class: "badge" }, `${failed} with errors`) : null, h("label", {}, sorter)),
    scatter(traces), list);
}

function resultItem(trace, longest) {
  const transaction = firstTag(trace, "croupier.transaction_id");
  return h("li", {}, h("a", { class: `item${trace.errors ? " failed" : ""}`, href: `/trace/${trace.id}` },
    h("div", { class: "title" }, trace.root.service, h("span", { class: "op" }, trace.root.raw.operationName)),
    h("div", { class: "duration" }, duration(trace.duration)),
    h("div", { class: "track" }, h("i", { vars: { "--width": `${(trace.duration / longest) * 100}%` } })),
    h("div", { class: "chips" },
      trace.errors ? h("span", { class: "badge" }, count(trace.errors, "error")) : null,
      [...trace.services].sort((a, b) => a[0].localeCompare(b[0])).map(([service, spans]) => chip(service, spans)),
      transaction ? h("span", { class: "chip plain mono" }, transaction) : null),
    h("div", { class: "time", title: moment(trace.start) }, `${ago(trace.start)} · ${trace.id.slice(0, 8)}`)));
}

function scatter(traces) {
  const width = 1180, height = 132, left = 64, right = 20, top = 16, bottom = 26;
  const first = Math.min(...traces.map((trace) => trace.start)), last = Math.max(...traces.map((trace) => trace.start));
  const longest = Math.max(...traces.map((trace) => trace.duration), 1);
  const x = (us) => left + (last === first ? .5 : (us - first) / (last - first)) * (width - left - right);
  const y = (us) => top + (1 - us / longest) * (height - top - bottom);
  const clock = (us) => new Date(us / 1000).toLocaleTimeString();
  return s("svg", { class: "plot", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "Traces by start and duration" },
    [0, .5, 1].map((part) => [
      s("line", { x1: left, x2: width - right, y1: y(longest * part), y2: y(longest * part) }),
      s("text", { x: left - 10, y: y(longest * part) + 4, "text-anchor": "end" }, part ? duration(Math.round(longest * part)) : "0")]),
    s("text", { x: left, y: height - 8 }, clock(first)), s("text", { x: width - right, y: height - 8, "text-anchor": "end" }, clock(last)),
    traces.map((trace) => s("a", { href: `/trace/${trace.id}` }, s("title", {}, `${trace.root.service} ${trace.root.raw.operationName} · ${duration(trace.duration)}`),
      s("circle", { class: trace.errors ? "error" : null, cx: x(trace.start), cy: y(trace.duration), r: Math.min(9, 3.5 + Math.sqrt(trace.spans.length) * .5) }))));
}

const firstTag = (trace, key) => { for (const span of trace.spans) if (span.tags.has(key)) return String(span.tags.get(key)); return null; };
const emptiness = (title, ...text) => h("div", { class: "empty" },
  s("svg", { viewBox: "0 0 48 48", width: 46, height: 46, fill: "none", stroke: "currentColor", "stroke-width": 3, "stroke-linecap": "round" }, s("path", { d: "M8 14h32M14 24h18M22 34h10" })),
  h("h2", {}, title), h("p", {}, ...text));

// ---- one trace --------------------------------------------------------------------------------

async function showTrace(id, signal) {
  let data;
  try {
    data = await ask(`/api/traces/${encodeURIComponent(id)}`, signal);
  } catch (error) {
    if (error.status !== 404 && error.status !== 400) throw error;
    main.replaceChildren(emptiness("No such trace", "Nothing is stored under ", h("code", {}, id), ". It may be on its way still, it may not have been sampled, or it is older than what is kept."));
    return;
  }
  const trace = arrange(data[0]);
  [...trace.services.keys()].sort().forEach(hue);
  document.title = `${trace.root.service} ${trace.root.raw.operationName} · Croupier traces`;
  const transaction = firstTag(trace, "croupier.transaction_id");
  const rows = trace.spans.map((span) => spanRow(trace, span));
  const closed = new Set();
  const refold = () => {
    const hidden = new Set();
    for (const { span, element, fold } of rows) {
      if (span.parent && (hidden.has(span.parent) || closed.has(span.parent))) hidden.add(span);
      element.hidden = hidden.has(span);
      fold.classList.toggle("shut", closed.has(span));
      fold.setAttribute("aria-expanded", String(!closed.has(span)));
    }
  };
  for (const { span, fold } of rows) fold.addEventListener("click", (event) => { event.stopPropagation(); if (!closed.delete(span)) closed.add(span); refold(); });
  const foldAll = h("button", { class: "button", type: "button", onclick: () => {
    if (closed.size) closed.clear(); else for (const { span } of rows) if (span.children.length) closed.add(span);
    foldAll.textContent = closed.size ? "Unfold all" : "Fold all";
    refold();
  } }, "Fold all");
  const finder = h("input", { type: "search", placeholder: "Find in spans", "aria-label": "Find in spans", autocomplete: "off", oninput: () => {
    const wanted = finder.value.trim().toLowerCase();
    for (const { span, element } of rows) {
      const hit = wanted && searchText(span).includes(wanted);
      element.classList.toggle("hit", Boolean(hit));
      element.classList.toggle("dim", Boolean(wanted) && !hit);
    }
  } });
  const fact = (label, value, bad) => h("span", { class: bad ? "bad" : null }, `${label} `, h("b", {}, value));
  const depth = Math.max(...trace.spans.map((span) => span.depth)) + 1;
  const grip = h("div", { class: "grip", title: "Drag to resize" });
  const timeline = h("div", { class: "timeline" },
    h("div", { class: "overview" }, h("div", { class: "label" }, "Service and operation", grip),
      h("div", { class: "ticks" }, [0, 1, 2, 3, 4].map((part) => h("span", { vars: { "--at": `${part * 25}%` } }, part ? duration(Math.round((trace.duration * part) / 4)) : "0")))),
    rows.map((row) => row.element));
  grip.addEventListener("pointerdown", (event) => {
    grip.setPointerCapture(event.pointerId);
    timeline.classList.add("dragging");
    const move = (moved) => timeline.style.setProperty("--names", `${Math.max(160, Math.min(timeline.clientWidth - 240, moved.clientX - timeline.getBoundingClientRect().left))}px`);
    grip.addEventListener("pointermove", move);
    grip.addEventListener("pointerup", () => { grip.removeEventListener("pointermove", move); timeline.classList.remove("dragging"); }, { once: true });
  });
  main.replaceChildren(h("article", { class: "trace" },
    h("header", { class: "tracehead" },
      h("a", { class: "back", href: lastSearch }, "← Search"),
      h("div", { class: "row" },
        h("h1", {}, trace.root.service, " ", h("span", {}, trace.root.raw.operationName)),
        trace.errors ? h("span", { class: "badge" }, count(trace.errors, "error")) : null,
        h("div", { class: "tools" }, finder, foldAll, h("a", { class: "button", href: `/api/traces/${trace.id}?prettyPrint=true`, target: "_blank", rel: "noopener" }, "JSON"))),
      h("div", { class: "facts" },
        fact("Began", moment(trace.start)), fact("Duration", duration(trace.duration)), fact("Services", trace.services.size), fact("Spans", trace.spans.length), fact("Depth", depth),
        transaction ? h("span", {}, "Transaction ", copyable(transaction)) : null, h("span", {}, "Trace ", copyable(trace.id))),
      h("div", { class: "legend" }, [...trace.services].sort((a, b) => a[0].localeCompare(b[0])).map(([service, spans]) => chip(service, spans)))),
    trace.warnings.map((text) => h("div", { class: "alert" }, text)),
    timeline));
  const wanted = new URLSearchParams(location.search).get("span");
  const row = rows.find((item) => item.span.id === wanted);
  if (row) { row.toggle(); row.element.scrollIntoView({ block: "center" }); }
}

const searchText = (span) => [span.service, span.raw.operationName, ...span.raw.tags.flatMap((tag) => [tag.key, String(tag.value)])].join("\n").toLowerCase();

function spanRow(trace, span) {
  const total = Math.max(trace.duration, 1);
  const at = `${((span.start - trace.start) / total) * 100}%`, width = `${(span.duration / total) * 100}%`;
  const fold = h("button", { class: `fold${span.children.length ? "" : " none"}`, type: "button", "aria-label": "Fold children" }, chevron());
  const line = h("div", { class: "line", tabindex: "0", role: "button", "aria-expanded": "false", title: `${span.service} ${span.raw.operationName}`, onclick: () => toggle(), onkeydown: (event) => {
    if (event.target !== line) return;
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); toggle(); }
    const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    if (!step) return;
    event.preventDefault();
    let next = element[step];
    while (next && next.hidden) next = next[step];
    next?.querySelector(".line")?.focus();
  } },
    h("div", { class: "name", vars: { "--depth": String(Math.min(span.depth, 24)) } }, fold, h("i", { class: "dot" }), h("span", { class: "svc" }, span.service), h("span", { class: "op" }, span.raw.operationName), span.failed ? failure() : null),
    h("div", { class: "lane", vars: { "--at": at, "--width": width } }, h("i"), h("em", {}, duration(span.duration)),
      span.raw.logs.slice(0, 50).map((log) => h("u", { vars: { "--at": `${Math.max(0, Math.min(100, ((log.timestamp - trace.start) / total) * 100))}%` }, title: String(log.fields[0]?.value ?? "event") }))));
  const element = h("div", { class: `span${span.failed ? " failed" : ""}`, vars: { "--hue": hue(span.service) } }, line);
  let detail = null;
  function toggle() {
    if (detail) { detail.remove(); detail = null; } else { detail = spanDetail(trace, span); element.append(detail); }
    element.classList.toggle("open", detail !== null);
    line.setAttribute("aria-expanded", String(detail !== null));
  }
  return { span, element, fold, toggle };
}

function spanDetail(trace, span) {
  const fact = (label, value) => h("span", {}, `${label} `, h("b", {}, value));
  const links = span.raw.references.filter((reference) => reference.refType !== "CHILD_OF");
  return h("div", { class: "detail" },
    h("div", { class: "facts" }, fact("Starts after", duration(span.start - trace.start)), fact("Duration", duration(span.duration)), fact("Own time", duration(ownTime(span))), h("span", {}, "Span ", copyable(span.id)),
      span.orphan ? h("span", { class: "bad" }, h("b", {}, "Its parent was not received")) : null,
      (span.raw.warnings ?? []).map((text) => h("span", { class: "bad" }, h("b", {}, text)))),
    h("div", { class: "columns" },
      card("Attributes", span.raw.tags.length, pairs(span.raw.tags)),
      card("Process", span.service, pairs(span.process?.tags ?? [])),
      span.raw.logs.map((log) => h("section", { class: "card wide" },
        h("h3", {}, String(log.fields.find((item) => item.key === "event")?.value ?? "Event"), h("span", {}, `at ${duration(Math.max(0, log.timestamp - trace.start))}`)),
        pairs(log.fields.filter((item) => item.key !== "event")))),
      links.length ? card("Links", links.length, h("table", { class: "pairs" }, h("tbody", {}, links.map((link) => h("tr", {}, h("th", {}, link.refType), h("td", {}, h("a", { class: "link", href: `/trace/${link.traceID}?span=${link.spanID}` }, `${link.traceID} / ${link.spanID}`))))))) : null));
}

// The part of a span during which none of its children ran.
function ownTime(span) {
  let own = span.duration, reached = span.start;
  for (const child of [...span.children].sort((a, b) => a.start - b.start)) {
    const from = Math.max(child.start, reached), to = Math.min(child.end, span.end);
    if (to > from) { own -= to - from; reached = to; }
  }
  return Math.max(0, own);
}

const card = (title, note, content) => h("section", { class: "card" }, h("h3", {}, title, h("span", {}, note)), content);
const pairs = (tags) => tags.length
  ? h("table", { class: "pairs" }, h("tbody", {}, [...tags].sort((a, b) => a.key.localeCompare(b.key)).map((tag) => h("tr", {}, h("th", {}, tag.key),
      h("td", { class: tag.key === "error" || tag.value === "ERROR" || tag.key === "exception.message" ? "bad" : null }, String(tag.value))))))
  : h("div", { class: "nothing" }, "None");

function copyable(text) {
  const label = h("span", {}, text);
  return h("button", { class: "copy", type: "button", title: "Copy", onclick: async (event) => {
    event.stopPropagation();
    try { await navigator.clipboard.writeText(text); label.textContent = "Copied"; } catch { label.textContent = text; }
    setTimeout(() => { label.textContent = text; }, 900);
  } }, label, s("svg", { viewBox: "0 0 16 16", width: 12, height: 12, "aria-hidden": "true" }, s("rect", { x: 5, y: 5, width: 8.5, height: 8.5, rx: 2 }), s("path", { d: "M11 5V4a1.5 1.5 0 0 0-1.5-1.5H4A1.5 1.5 0 0 0 2.5 4v5.5A1.5 1.5 0 0 0 4 11h1" })));
}

// ---- service map ------------------------------------------------------------------------------

async function showMap(parameters, signal) {
  const period = PERIODS.find(([key]) => key === (parameters.get("period") ?? "1h")) ?? PERIODS[1];
  const lookback = period[2] ? period[2] * 1000 : Date.now();
  const edges = await ask(`/api/dependencies?endTs=${Date.now() + 60000}&lookback=${lookback + 60000}`, signal);
  const chooser = h("select", { "aria-label": "Period", onchange: () => open(`/map?period=${chooser.value}`) }, PERIODS.map(([key, label]) => h("option", { value: key, selected: key === period[0] }, label)));
  const names = new Set(edges.flatMap((edge) => [edge.parent, edge.child]));
  main.replaceChildren(h("section", { class: "mapview" },
    h("div", { class: "listhead" }, h("h1", {}, "Service map"), h("span", { class: "muted" }, names.size ? `${count(names.size, "service")}, ${count(edges.length, "dependency").replace(/ys$/, "ies")}` : ""), h("label", {}, chooser)),
    h("div", { class: "board" }, edges.length ? drawMap([...names].sort(), edges) : emptiness("No calls between services", "None began in this time."))));
}

// Callers stand left of whom they call; each column is ordered by where its callers stand.
function drawMap(names, edges) {
  const column = new Map(names.map((name) => [name, 0]));
  for (let round = 0; round < names.length; round++) {
    let moved = false;
    for (const edge of edges) if (column.get(edge.child) <= column.get(edge.parent) && column.get(edge.parent) + 1 < names.length && !reaches(edges, edge.child, edge.parent)) { column.set(edge.child, column.get(edge.parent) + 1); moved = true; }
    if (!moved) break;
  }
  const columns = [];
  for (const name of names) (columns[column.get(name)] ??= []).push(name);
  const tall = Math.max(...columns.filter(Boolean).map((list) => list.length));
  const boxWidth = 164, boxHeight = 52, gapX = 132, gapY = 40, pad = 48;
  const place = new Map();
  columns.filter(Boolean).forEach((list, index) => {
    const callers = (name) => edges.filter((edge) => edge.child === name && place.has(edge.parent)).map((edge) => place.get(edge.parent).y);
    const middle = (name) => { const ys = callers(name); return ys.length ? ys.reduce((a, b) => a + b) / ys.length : 0; };
    list.sort((a, b) => middle(a) - middle(b) || a.localeCompare(b));
    const offset = ((tall - list.length) * (boxHeight + gapY)) / 2;
    list.forEach((name, row) => place.set(name, { x: pad + index * (boxWidth + gapX), y: pad + offset + row * (boxHeight + gapY) }));
  });
  const width = pad * 2 + columns.filter(Boolean).length * (boxWidth + gapX) - gapX, height = pad * 2 + tall * (boxHeight + gapY) - gapY;
  const most = Math.max(...edges.map((edge) => edge.callCount));
  const lines = edges.map((edge) => {
    const from = place.get(edge.parent), to = place.get(edge.child), forward = to.x > from.x;
    const x1 = from.x + (forward ? boxWidth : boxWidth / 2), y1 = from.y + (forward ? boxHeight / 2 : boxHeight);
    const x2 = to.x + (forward ? -8 : boxWidth / 2), y2 = to.y + (forward ? boxHeight / 2 : boxHeight + 8);
    const bend = forward ? Math.max(48, (x2 - x1) / 2) : 0, sag = forward ? 0 : 46;
    return [
      s("path", { class: "edge", d: `M${x1} ${y1}C${x1 + bend} ${y1 + sag} ${x2 - bend} ${y2 + sag} ${x2} ${y2}`, "stroke-width": 1.2 + 1.8 * Math.sqrt(edge.callCount / most), "marker-end": "url(#arrow)" }),
      s("text", { class: "count", x: (x1 + x2) / 2, y: (y1 + y2) / 2 + sag * .75 - 5, "text-anchor": "middle" }, edge.callCount.toLocaleString())];
  });
  const boxes = names.map((name) => {
    const { x, y } = place.get(name);
    const received = edges.filter((edge) => edge.child === name).reduce((sum, edge) => sum + edge.callCount, 0);
    return s("a", { class: "node", href: `/search?service=${encodeURIComponent(name)}`, vars: { "--hue": hue(name) } }, s("rect", { x, y, width: boxWidth, height: boxHeight, rx: 11 }),
      s("rect", { class: "swatch", x: x + 14, y: y + 15, width: 9, height: 22, rx: 3 }), s("text", { x: x + 34, y: y + 23 }, name.length > 17 ? `${name.slice(0, 16)}…` : name),
      s("text", { class: "sub", x: x + 34, y: y + 39 }, received ? `${received.toLocaleString()} calls received` : "entry point"), s("title", {}, name));
  });
  return s("svg", { class: "graph", viewBox: `0 0 ${width} ${height}`, width: Math.min(width * 1.15, 1500), role: "img", "aria-label": "Which service calls which" },
    s("defs", {}, s("marker", { id: "arrow", viewBox: "0 0 10 10", refX: 4, refY: 5, markerWidth: 9, markerHeight: 9, markerUnits: "userSpaceOnUse", orient: "auto-start-reverse" }, s("path", { class: "arrow", d: "M0 0 10 5 0 10z" }))),
    lines, boxes);
}

function reaches(edges, from, to) {
  const seen = new Set([from]), stack = [from];
  while (stack.length) {
    const name = stack.pop();
    if (name === to) return true;
    for (const edge of edges) if (edge.parent === name && !seen.has(edge.child)) { seen.add(edge.child); stack.push(edge.child); }
  }
  return false;
}

// ---- navigation -------------------------------------------------------------------------------

let running = null;
let lastSearch = "/search";

function open(address) {
  history.pushState(null, "", address);
  render();
}

async function render() {
  running?.abort();
  running = new AbortController();
  const { signal } = running;
  const view = location.pathname.startsWith("/trace/") ? "trace" : location.pathname === "/map" ? "map" : "search";
  const parameters = new URLSearchParams(location.search);
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.view === view) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
  }
  document.title = view === "map" ? "Service map · Croupier traces" : "Croupier traces";
  const loading = h("div", { class: "loading" });
  const late = setTimeout(() => document.body.append(loading), 150);
  try {
    if (view === "trace") await showTrace(decodeURIComponent(location.pathname.slice(7)), signal);
    else if (view === "map") await showMap(parameters, signal);
    else { lastSearch = location.pathname + location.search; await showSearch(parameters, signal); }
  } catch (error) {
    if (error.name !== "AbortError") main.replaceChildren(emptiness("That did not work", error.message));
  } finally {
    clearTimeout(late);
    loading.remove();
  }
}

async function jump(text) {
  if (/^[0-9a-f]{16,32}$/i.test(text)) return open(`/trace/${text.toLowerCase()}`);
  const tags = { "croupier.transaction_id": text };
  const found = await ask(`/api/traces?limit=2&tags=${encodeURIComponent(JSON.stringify(tags))}`);
  if (found.length === 1) return open(`/trace/${found[0].traceID}`);
  const quoted = `"${text.replace(/["\\]/g, "\\$&")}"`;
  return open(`/search?${new URLSearchParams({ tags: `croupier.transaction_id=${quoted}`, period: "all" })}`);
}

document.querySelector(".jump").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = event.target.elements.id.value.trim();
  if (text) jump(text).catch((error) => main.replaceChildren(emptiness("That did not work", error.message)));
});
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href]");
  if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || link.getAttribute("target")) return;
  event.preventDefault();
  open(link.getAttribute("href"));
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target.closest("input, select, textarea")) return;
  event.preventDefault();
  document.querySelector(".jump input").focus();
});

const dark = matchMedia("(prefers-color-scheme: dark)");
function paint() {
  let chosen = null;
  try { chosen = localStorage.getItem("theme"); } catch { /* storage may be forbidden */ }
  document.documentElement.dataset.theme = chosen ?? (dark.matches ? "dark" : "light");
}
dark.addEventListener("change", paint);
document.querySelector(".theme").addEventListener("click", () => {
  try { localStorage.setItem("theme", document.documentElement.dataset.theme === "dark" ? "light" : "dark"); } catch { /* it lasts as long as the page */ }
  paint();
});
addEventListener("popstate", render);
paint();
render();
