// One clip and one speaker: is it that person?

import { part } from "./dom.js";
import { CLIP_LABEL, ProbePage } from "./page-probe.js";
import { verificationView } from "./result.js";
import { clipForm, speakerPath } from "./service.js";
import { SpeakerPicker } from "./speaker-picker.js";

export class VerifyPage extends ProbePage {
  #service;
  #limits;
  #picker;

  constructor(root, parts) {
    super(root, parts);
    this.#service = parts.service;
    this.#limits = parts.limits;
    this.#picker = new SpeakerPicker(part(root, "picker"), parts.service, ({ status }) => status === "enrolled");
    part(root, "picker").addEventListener("change", () => this.changed());
  }

  /** `chosen` is a speaker's ID, where another page leads here. */
  enter(chosen) {
    this.#picker.refresh(chosen).catch((error) => this.tell(error));
  }

  async send(clip, operatingPoint) {
    const name = this.#picker.label;
    const words = {
      accept: `It sounds like ${name}`,
      reject: `It does not sound like ${name}`,
      inconclusive: "It cannot be told yet",
    };
    const form = clipForm([["audio", clip]], { operating_point: operatingPoint });
    const answer = await this.#service.hear(speakerPath(this.#picker.speakerId, "/verify"), form);
    return { answer, words, view: verificationView(answer, this.#limits, words, [CLIP_LABEL]) };
  }
}
