// Live parts: the server sends what changed, each part is put in place of the element with its id. Hidden tabs do not listen.
(() => {
  "use strict";
  const icon = document.getElementById("icon");
  const pulse = document.getElementById("pulse");
  let source = null;

  // Changes `old` into `next` where they differ, so that focus, selection and open menus stay.
  const morph = (old, next) => {
    if (old.isEqualNode(next)) return;
    if (old.nodeType !== next.nodeType || old.nodeName !== next.nodeName || (old.id || "") !== (next.id || "")) {
      old.replaceWith(next);
      return;
    }
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.nodeValue !== next.nodeValue) old.nodeValue = next.nodeValue;
      return;
    }
    const open = old.nodeName === "DETAILS" && old.open;
    if (old.classList.contains("current")) next.classList.add("current");
    for (const { name } of [...old.attributes]) if (!next.hasAttribute(name)) old.removeAttribute(name);
    for (const { name, value } of next.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    if (open) old.open = true;
    const keyed = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
    const wanted = new Set([...next.children].map((child) => child.id).filter(Boolean));
    let place = old.firstChild;
    for (const child of [...next.childNodes]) {
      const same = child.id && keyed.get(child.id);
      // What is moved loses the focus: what stands before it, and has no place of its own, goes instead.
      while (same && place && place !== same && !wanted.has(place.id)) { const gone = place; place = place.nextSibling; gone.remove(); }
      if (same && same !== place) old.insertBefore(same, place);
      const target = same || place;
      if (!target) { old.appendChild(child); continue; }
      if (!same && target.id && child.id !== target.id) { old.insertBefore(child, target); continue; }
      place = target.nextSibling;
      morph(target, child);
    }
    while (place) { const gone = place; place = place.nextSibling; gone.remove(); }
  };

  const put = (parts) => {
    for (const [id, html] of Object.entries(parts)) {
      if (id === "title") document.title = `${html} \u00b7 Nunatak`;
      else if (id === "alarm") icon.href = icon.dataset[html || "calm"];
      else {
        const old = document.getElementById(id);
        if (!old) continue;
        const drawn = old.ownerSVGElement; // a piece of a drawing is one only inside a drawing
        const made = new DOMParser().parseFromString(drawn ? `<svg>${html}</svg>` : html, "text/html").body.querySelector(`[id="${id}"]`);
        window.nunatak.relate(made);
        morph(old, document.importNode(made, true));
      }
    }
    document.dispatchEvent(new CustomEvent("nunatak:live", { detail: Object.keys(parts) }));
  };

  const listen = () => {
    if (source || document.hidden || !document.body.dataset.live) return;
    source = new EventSource(document.body.dataset.live);
    source.addEventListener("parts", (event) => { put(JSON.parse(event.data)); });
    source.onopen = () => { pulse.hidden = false; pulse.textContent = "live"; };
    source.onerror = () => {
      pulse.textContent = "not live: trying again";
      if (source.readyState !== EventSource.CLOSED) return; // else the browser tries again by itself
      leave();
      setTimeout(listen, 5000);
    };
  };
  const leave = () => { if (source) source.close(); source = null; };
  document.addEventListener("visibilitychange", () => (document.hidden ? leave() : listen()));
  window.addEventListener("pagehide", leave);
  window.addEventListener("pageshow", listen);
  document.addEventListener("nunatak:leave", () => { leave(); document.body.dataset.live = ""; });
  // Other filters are another stream.
  document.addEventListener("htmx:after:swap", () => {
    document.body.dataset.live = `${location.pathname}.live${location.search}`;
    leave();
    listen();
  });
  listen();
})();
