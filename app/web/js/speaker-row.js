// One speaker of the list: what is known, and what may be done.

import { ask } from "./ask.js";
import { announce, element, icon, show } from "./dom.js";
import { problemView } from "./problem.js";
import { speakerPath } from "./service.js";
import { counted, day, dayAndTime, nameOf, noiseInWords, seconds, statusInWords } from "./words.js";

export class SpeakerRow {
  #service;
  #speaker;
  #onGone;
  #facts = element("div", { className: "facts" });
  #enrollments = element("div", { className: "enrollments", hidden: true });
  #problem = element("div");
  #toggle = element("button", { type: "button", ariaExpanded: "false" }, "Clips");
  #more = element("a", { className: "button" }, "Add clips");
  view = element("li", { className: "panel speaker" });

  constructor(speaker, service, onGone) {
    this.#speaker = speaker;
    this.#service = service;
    this.#onGone = onGone;
    this.#more.href = `#enroll/${encodeURIComponent(speaker.speaker_id)}`;
    this.#toggle.addEventListener("click", () => this.#try(() => this.#toggleEnrollments()));
    const actions = element(
      "div",
      { className: "row actions" },
      this.#more,
      this.#toggle,
      this.#button("Rename", () => this.#rename()),
      this.#button("Erase", () => this.#erase()),
    );
    this.view.append(
      element("div", { className: "speaker-head" }, this.#facts, actions),
      this.#problem,
      this.#enrollments,
    );
    this.#tell();
  }

  #tell() {
    const { speaker_id: id, status, speech_s: speechS, enrollment_count: nClips, consent } = this.#speaker;
    const rest = [
      id,
      nClips > 0 && `${seconds(speechS)} of speech in ${counted(nClips, "clip")}`,
      consentInWords(consent),
    ];
    this.#facts.replaceChildren(
      element("h2", {}, nameOf(this.#speaker)),
      element("span", { className: `status ${status}` }, statusInWords(status)),
      element("p", { className: "small" }, rest.filter(Boolean).join(" · ")),
    );
    show(this.#more, status !== "stale");
    for (const action of this.view.querySelectorAll(".actions > *")) {
      action.ariaLabel = `${action.textContent}: ${nameOf(this.#speaker)}`;
    }
  }

  #button(text, act) {
    const made = element("button", { type: "button" }, text);
    made.addEventListener("click", () => this.#try(act));
    return made;
  }

  async #try(act) {
    this.#problem.replaceChildren();
    try {
      await act();
    } catch (error) {
      this.#problem.replaceChildren(problemView(error));
    }
  }

  async #rename() {
    const name = await ask({
      title: "Rename",
      text: `The ID stays ${this.#speaker.speaker_id}.`,
      label: "Name",
      value: this.#speaker.display_name ?? "",
      go: "Rename",
    });
    if (name === null) return;
    this.#speaker = await this.#service.change(speakerPath(this.#speaker.speaker_id), {
      display_name: name.trim() || null,
    });
    this.#tell();
    announce(`Renamed to ${nameOf(this.#speaker)}.`);
  }

  async #erase() {
    const id = this.#speaker.speaker_id;
    const isSure = await ask({
      title: `Erase ${nameOf(this.#speaker)}?`,
      text: "The record, every enrollment and the voice in the gallery are removed for good. There is no undo.",
      label: `Type ${id} to confirm`,
      must: id,
      go: "Erase for good",
    });
    if (isSure === null) return;
    await this.#service.erase(speakerPath(id));
    announce(`${nameOf(this.#speaker)} was erased.`);
    this.#onGone(this);
  }

  async #toggleEnrollments() {
    const isOpen = !this.#enrollments.hidden;
    if (!isOpen) await this.#readEnrollments();
    show(this.#enrollments, !isOpen);
    this.#toggle.ariaExpanded = String(!isOpen);
  }

  async #readEnrollments() {
    const { enrollments } = await this.#service.get(speakerPath(this.#speaker.speaker_id, "/enrollments"));
    const rows = enrollments.map((enrollment) => this.#enrollmentRow(enrollment));
    this.#enrollments.replaceChildren(
      rows.length ? element("ul", {}, ...rows) : element("p", { className: "small" }, "No clip yet."),
    );
  }

  #enrollmentRow({ enrollment_id: id, speech_s: speechS, audio, created_at: at }) {
    const facts = `${dayAndTime(at)} · ${seconds(speechS)} of speech · noise ${noiseInWords(audio.snr_db)} · ${audio.format}`;
    const button = this.#button("Take back", () => this.#takeBack(id, at));
    button.ariaLabel = `Take back the clip of ${dayAndTime(at)}`;
    return element("li", {}, element("span", {}, icon("compare"), facts), button);
  }

  async #takeBack(enrollmentId, at) {
    const isSure = await ask({
      title: "Take this clip back?",
      text: `The clip of ${dayAndTime(at)} no longer counts for ${nameOf(this.#speaker)}. There is no undo.`,
      go: "Take back",
    });
    if (isSure === null) return;
    await this.#service.erase(
      speakerPath(this.#speaker.speaker_id, `/enrollments/${encodeURIComponent(enrollmentId)}`),
    );
    this.#speaker = await this.#service.get(speakerPath(this.#speaker.speaker_id));
    this.#tell();
    await this.#readEnrollments();
    announce("Taken back.");
  }
}

function consentInWords(consent) {
  if (consent === null) return "no consent noted";
  return `agreed to “${consent.purpose}”${consent.expires_at ? `, erased after ${day(consent.expires_at)}` : ""}`;
}
