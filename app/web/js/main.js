// The console: what the service says of itself, and the page that the address names.

import { Keyring } from "./keyring.js";
import { ComparePage } from "./page-compare.js";
import { EnrollPage } from "./page-enroll.js";
import { IdentifyPage } from "./page-identify.js";
import { SpeakersPage } from "./page-speakers.js";
import { ThresholdPage } from "./page-threshold.js";
import { VerifyPage } from "./page-verify.js";
import { problemView } from "./problem.js";
import { stopRecording } from "./recording-panel.js";
import { Service } from "./service.js";

const PAGES = {
  compare: ComparePage,
  enroll: EnrollPage,
  verify: VerifyPage,
  identify: IdentifyPage,
  speakers: SpeakersPage,
  threshold: ThresholdPage,
};
const FIRST = "compare";

async function start() {
  const service = new Service(new Keyring());
  const [limits, model] = await Promise.all([service.get("console/limits.json"), service.get("v1/model")]);
  tellModel(model);
  const pages = {};
  const enter = (isFirst) => {
    const [name, argument] = location.hash.slice(1).split("/");
    const isPage = Object.hasOwn(PAGES, name);
    if (!isPage && !isFirst) return; // a jump within the page
    const chosen = isPage ? name : FIRST;
    reveal(chosen, isFirst);
    pages[chosen] ??= new PAGES[chosen](document.getElementById(`page-${chosen}`), { service, limits, model });
    pages[chosen].enter(argument && decodeURIComponent(argument));
  };
  addEventListener("hashchange", () => {
    stopRecording();
    enter(false);
  });
  // A file that misses its card would replace the page.
  for (const event of ["dragover", "drop"]) addEventListener(event, (dropped) => dropped.preventDefault());
  enter(true);
  performance.mark("drawn"); // for bench/console.py
}

function reveal(chosen, isFirst) {
  for (const name of Object.keys(PAGES)) document.getElementById(`page-${name}`).hidden = name !== chosen;
  for (const link of document.querySelectorAll("nav a")) {
    const isChosen = link.hash === `#${chosen}`;
    link.ariaCurrent = isChosen ? "page" : null;
    if (isChosen) document.title = `${link.textContent.trim()} · Vouch`;
  }
  // Whoever has just opened the page has the focus where the browser put it.
  if (!isFirst) document.getElementById(`${chosen}-title`).focus();
}

function tellModel(model) {
  document.getElementById("notice").textContent = model.presentation_attack_notice;
  document.getElementById("model").textContent = `Encoder ${model.id}, licence ${model.licence}, on ${model.device}.`;
}

start().catch((error) => document.getElementById("main").prepend(problemView(error)));
