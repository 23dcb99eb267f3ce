// A log: lines are marked and shared by their numbers, searched by keys, and added at the end while the log grows.
(() => {
  "use strict";
  const log = document.getElementById("log");
  const field = document.querySelector("[data-log-search]");
  if (!log) return;
  const MOST = 4000; // lines that are kept while one follows
  const KINDS = /^(?:esc|note|bold|faint|italic|under|strike|[ig][0-7])$/;

  // Lines of the address: #L12 or #L12-L20.
  const marked = () => {
    const found = /^#L(\d+)(?:-L?(\d+))?$/.exec(location.hash);
    return found ? [Number(found[1]), Number(found[2] || found[1])].sort((a, b) => a - b) : null;
  };
  const mark = () => {
    const range = marked();
    for (const line of log.children) {
      const n = Number(line.dataset.line);
      line.classList.toggle("marked", Boolean(range) && n >= range[0] && n <= range[1]);
    }
  };
  log.addEventListener("click", (event) => {
    const link = event.target.closest("a.n");
    if (!link || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const n = Number(link.parentElement.dataset.line);
    const from = event.shiftKey && marked() ? marked()[0] : n;
    const [low, high] = [Math.min(from, n), Math.max(from, n)];
    const query = new URLSearchParams({ stream: log.dataset.stream, line: String(low) });
    history.replaceState(null, "", `${location.pathname}?${query}#L${low}${high > low ? `-L${high}` : ""}`);
    mark();
  });
  window.addEventListener("hashchange", mark);
  mark();
  const first = marked();
  if (first && first[1] > first[0]) document.getElementById(`L${first[0]}`)?.scrollIntoView({ block: "center" });
  if (!first) log.querySelector(".told")?.scrollIntoView({ block: "center" });

  // n and N go along what was found; a line on this page is gone to at once.
  const hits = [...document.querySelectorAll("[data-hit]")];
  const step = (by) => {
    const here = (marked() || [0])[0];
    const at = hits.findIndex((hit) => Number(hit.dataset.hit) >= here);
    const found = at >= 0 && Number(hits[at].dataset.hit) === here;
    const next = by > 0 ? (at < 0 ? -1 : found ? at + 1 : at) : (at < 0 ? hits.length : at) - 1;
    const hit = hits[next];
    if (!hit) return;
    const line = document.getElementById(`L${hit.dataset.hit}`);
    if (line) { location.hash = `L${hit.dataset.hit}`; line.scrollIntoView({ block: "center" }); }
    else location.assign(hit.href);
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
    if (event.key === "/") { field.focus(); field.select(); }
    else if (event.key === "n" && hits.length) step(1);
    else if (event.key === "N" && hits.length) step(-1);
    else return;
    event.preventDefault();
    event.stopImmediatePropagation();
  }, true);

  // The end of a log that grows: what is new is asked for by position. Text is only ever put in as text.
  let busy = false;
  const written = (pieces) => pieces.map(({ text, kind }) => {
    const names = kind.split(" ").filter((name) => KINDS.test(name));
    if (!names.length) return document.createTextNode(text);
    const span = document.createElement("span");
    span.className = names.join(" ");
    span.textContent = text;
    return span;
  });
  const add = (item) => {
    const last = log.lastElementChild;
    if (item.rest && last && Number(last.dataset.line) === item.line) {
      last.querySelector("code").append(...written(item.pieces));
      return;
    }
    const line = document.createElement("li");
    line.id = `L${item.line}`;
    line.dataset.row = "";
    line.dataset.line = item.line;
    const link = document.createElement("a");
    link.className = "n";
    link.tabIndex = -1;
    link.dataset.open = "";
    link.href = `${location.pathname}?${new URLSearchParams({ stream: log.dataset.stream, line: item.line })}#L${item.line}`;
    link.textContent = item.line;
    const code = document.createElement("code");
    code.append(...written(item.pieces));
    line.append(link, code);
    log.append(line);
    if (log.children.length > MOST) log.firstElementChild.remove();
  };
  const grow = async () => {
    if (busy || !("follow" in log.dataset)) return;
    busy = true;
    try {
      let more = true;
      while (more) {
        const query = new URLSearchParams({ stream: log.dataset.stream, at: log.dataset.next });
        const answer = await fetch(`${location.pathname}.json?${query}`, { headers: { Accept: "application/json" } });
        if (!answer.ok) return;
        const data = await answer.json();
        const low = innerHeight + scrollY >= document.documentElement.scrollHeight - 120;
        for (const item of data.lines) add(item);
        document.getElementById("log-empty")?.toggleAttribute("hidden", log.children.length > 0);
        more = data.lines.length > 0 && data.next < data.total;
        log.dataset.next = data.next;
        if (data.complete && data.next >= data.total) delete log.dataset.follow;
        if (low && data.lines.length) scrollTo(0, document.documentElement.scrollHeight);
      }
    } finally {
      busy = false;
      if (Number(document.getElementById("grown").dataset.total) > Number(log.dataset.next)) setTimeout(grow, 300);
    }
  };
  document.addEventListener("nunatak:live", (event) => { if (event.detail.includes("grown")) grow(); });
})();
