// The first half of enrolling: making a speaker, or choosing one.

import { element, part, show } from "./dom.js";
import { speakerPath } from "./service.js";
import { SpeakerPicker } from "./speaker-picker.js";
import { nameOf, statusInWords } from "./words.js";

export class SpeakerChoice {
  #root;
  #service;
  #picker;
  #onChosen;
  #onProblem;

  constructor(root, service, onChosen, onProblem) {
    this.#root = root;
    this.#service = service;
    this.#onChosen = onChosen;
    this.#onProblem = onProblem;
    this.#picker = new SpeakerPicker(part(part(root, "known"), "picker"), service, ({ status }) => status !== "stale");
    for (const radio of root.querySelectorAll("[name=enroll-kind]")) {
      radio.addEventListener("change", () => this.#switch(radio.value));
    }
    this.#form("new").elements.expires_on.min = new Date().toISOString().slice(0, 10);
    this.#on("new", (form) => this.#service.make("v1/speakers", speakerOf(form)));
    this.#on("known", () => this.#service.get(speakerPath(this.#picker.speakerId)));
  }

  /** Shows who was chosen, in place of the choice; null asks again. */
  show(speaker) {
    show(part(this.#root, "choose"), speaker === null);
    const chosen = part(this.#root, "chosen");
    show(chosen, speaker !== null);
    if (speaker === null) return;
    const another = element("button", { type: "button" }, "Another speaker");
    another.addEventListener("click", () => this.#onChosen(null));
    const words = `${speaker.speaker_id} · ${statusInWords(speaker.status)}`;
    chosen.replaceChildren(
      element(
        "div",
        { className: "row chosen" },
        element("p", { className: "name" }, nameOf(speaker), element("span", { className: "small" }, words)),
        another,
      ),
    );
  }

  async choose(speakerId) {
    await this.#choosing(this.#service.get(speakerPath(speakerId)));
  }

  #form(kind) {
    return part(this.#root, kind);
  }

  #on(kind, find) {
    this.#form(kind).addEventListener("submit", (event) => {
      event.preventDefault();
      this.#choosing(find(event.target)).then((isChosen) => isChosen && event.target.reset());
    });
  }

  async #choosing(finding) {
    this.#onProblem(null);
    try {
      this.#onChosen(await finding);
      return true;
    } catch (error) {
      this.#onProblem(error);
      return false;
    }
  }

  #switch(kind) {
    show(this.#form("new"), kind === "new");
    show(this.#form("known"), kind === "known");
    if (kind === "known") this.#picker.refresh().catch(this.#onProblem);
  }
}

/** The body of POST /v1/speakers. */
function speakerOf(form) {
  const { display_name: name, speaker_id: id, purpose, expires_on: expiresOn } = form.elements;
  const consent = { purpose: purpose.value.trim(), given_at: new Date().toISOString() };
  if (expiresOn.value) consent.expires_at = new Date(`${expiresOn.value}T23:59:59`).toISOString();
  return {
    ...(name.value.trim() && { display_name: name.value.trim() }),
    ...(id.value.trim() && { speaker_id: id.value.trim() }),
    consent,
  };
}
