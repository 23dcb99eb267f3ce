// New work: what is filled in is checked as one types. Files are told by name; they are sent with the form alone.
(() => {
  "use strict";
  const form = document.getElementById("new");
  const probe = document.getElementById("probe");
  const iceprod = document.getElementById("iceprod");
  const FIELDS = ["csrf", "mode", "like", "source", "outputs", "jobs", "script_names", "input_names", "options", "datasets", "expansion", "since"];
  const texts = {};  // of files whose content is checked too
  let due = 0;

  const valueOf = ({ type, checked, value }) => (type === "checkbox" && !checked ? "" : value);
  const check = () => {
    const told = FIELDS.filter((name) => form.elements[name]).map((name) => [name, valueOf(form.elements[name])]);
    probe.replaceChildren(...[...told, ...Object.entries(texts)].map(([name, value]) => {
      const field = document.createElement("textarea");
      field.name = name;
      field.value = value;
      return field;
    }));
    probe.dispatchEvent(new CustomEvent("check"));
  };
  const soon = () => { clearTimeout(due); due = setTimeout(check, 250); };

  form.addEventListener("input", soon);
  form.addEventListener("change", async (event) => {
    const { names, load, text } = event.target.dataset;
    if (names) form.elements[names].value = [...event.target.files].map((file) => file.name).join("\n");
    if (load && event.target.files[0]) form.elements[load].value = await event.target.files[0].text();
    if (text !== undefined) texts[event.target.name] = event.target.files[0] ? await event.target.files[0].text() : "";
    soon();
  });
  // What only a configuration of IceProd takes shows, and opens, when the text is one.
  if (iceprod) {
    iceprod.hidden = true;
    document.addEventListener("htmx:after:swap", () => {
      const known = document.getElementById("check").hasAttribute("data-iceprod");
      if (known && iceprod.hidden) iceprod.open = true;
      iceprod.hidden = !known;
    });
  }
  // A tab in the editor is two spaces; Escape, then Tab leaves it.
  let leaving = false;
  form.elements.source?.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { leaving = true; return; }
    if (event.key === "Tab" && !event.shiftKey && !leaving) {
      event.preventDefault();
      event.target.setRangeText("  ", event.target.selectionStart, event.target.selectionEnd, "end");
      soon();
    }
    leaving = false;
  });
  if (form.elements.source) document.addEventListener("DOMContentLoaded", () => setTimeout(check));
})();
