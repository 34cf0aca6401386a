"use strict";
// What the pages do besides links and forms. Without it every screen works, too.

function copying(root) {
  for (const button of root.querySelectorAll("button.copy")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const text = button.dataset.copy;
      try {
        await navigator.clipboard.writeText(text);
        button.textContent = "Copied";
      } catch {
        const code = button.parentElement.querySelector("code");
        getSelection().selectAllChildren(code);
        button.textContent = "Selected";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
  }
}

// Parts of a page that take longer are fetched when the rest is there, and given up when the page is left.
const leaving = new AbortController();
addEventListener("pagehide", () => leaving.abort());

async function loading(place) {
  place.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(place.dataset.load, { signal: leaving.signal, credentials: "same-origin" });
    const text = await answer.text();
    const page = new DOMParser().parseFromString(text, "text/html");
    const part = answer.ok ? page.body : page.querySelector(".notes") || page.body;
    place.replaceChildren(...part.childNodes);
    dragging(place);
    copying(place);
  } catch {
    // Its link stays.
  }
  place.removeAttribute("aria-busy");
}

// Dragging over the timeline chooses a window.
function dragging(root) {
  for (const chart of root.querySelectorAll("svg.timeline")) {
    const form = document.getElementById("window");
    if (!form) continue;
    const facts = chart.dataset;
    const since = Number(facts.since), until = Number(facts.until), left = Number(facts.left), right = Number(facts.right);
    const chosen = chart.querySelector(".chosen");
    let begun = null;
    const place = (event) => {
      const box = chart.getBoundingClientRect();
      const x = (event.clientX - box.left) / box.width * Number(facts.width);
      return Math.min(right, Math.max(left, x));
    };
    const second = (x) => Math.round(since + (x - left) / (right - left) * (until - since));
    const iso = (seconds) => new Date(seconds * 1000).toISOString().replace(".000Z", "Z");
    chart.addEventListener("pointerdown", (event) => {
      begun = place(event);
      chart.setPointerCapture(event.pointerId);
      event.preventDefault();
    });
    chart.addEventListener("pointermove", (event) => {
      if (begun === null) return;
      const x = place(event);
      chosen.setAttribute("x", Math.min(begun, x));
      chosen.setAttribute("width", Math.abs(x - begun));
    });
    chart.addEventListener("pointerup", (event) => {
      if (begun === null) return;
      const x = place(event), from = second(Math.min(begun, x)), to = second(Math.max(begun, x));
      const far = Math.abs(x - begun) > 3;
      begun = null;
      if (!far || to <= from) { chosen.setAttribute("width", 0); return; }
      form.elements.from.value = iso(from);
      form.elements.to.value = iso(to);
      form.requestSubmit(form.querySelector("button:not([name])"));
    });
    chart.addEventListener("pointercancel", () => { begun = null; chosen.setAttribute("width", 0); });
  }
}

// The slider over versions marks one of them, and opens its JSON.
function sliding() {
  const form = document.querySelector("form.slider");
  if (!form) return;
  form.hidden = false;
  const slide = form.querySelector("#slide"), said = form.querySelector("#slid");
  const show = (scroll) => {
    for (const each of document.querySelectorAll("[data-version]")) {
      const chosen = each.dataset.version === slide.value;
      if (each.tagName === "DETAILS") each.open = chosen;
      else each.classList.toggle("chosen", chosen);
      if (chosen && each.tagName === "TH") {
        said.textContent = `${slide.value}: ${each.querySelector("time").textContent}`;
        if (scroll) each.scrollIntoView({ block: "nearest", inline: "center" });
      }
    }
  };
  slide.addEventListener("input", () => show(true));
  form.addEventListener("submit", (event) => event.preventDefault());
  show(false);
  const region = document.querySelector("table.versions").parentElement;
  region.scrollLeft = region.scrollWidth; // the newest version is the one that the slider names
}

// Browsers that know no style for closed details print them only if they are open.
let opened = [];
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details:not([open])")];
  for (const each of opened) each.open = true;
});
addEventListener("afterprint", () => { for (const each of opened) each.open = false; });

for (const button of document.querySelectorAll("button.print")) {
  button.hidden = false;
  button.addEventListener("click", () => print());
}
copying(document);
dragging(document);
sliding();
for (const place of document.querySelectorAll("[data-load]")) loading(place);
