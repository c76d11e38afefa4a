// An error of the service as a person reads it.

import { element, icon } from "./dom.js";

const WORDS = {
  unreachable: "The service cannot be reached. Check that it still runs, then try again.",
  unauthenticated: "Without a valid key the service does not answer. Reload the page to give one.",
  inconsistent_voice:
    "One clip does not sound like the speaker's others, so none was enrolled. Listen to each clip, and remove the one in which somebody else speaks.",
  not_enrolled: "This speaker has too little speech to be verified. Enroll more first.",
  model_mismatch: "This speaker was enrolled with another encoder. Take the old enrollments back, and enroll again.",
  speaker_exists: "This ID is taken. Choose another, or choose the known speaker.",
  speaker_not_found: "There is no such speaker; perhaps it was erased.",
  unsupported_audio: "This file is in a format that the service does not read. WAV, FLAC, MP3, Ogg, WebM and M4A are.",
  audio_corrupt: "This file is damaged, or cut off.",
  not_enough_speech: "There is too little speech in a clip, so none was enrolled. Record it again, and keep talking.",
  too_noisy:
    "A clip is mostly noise, so none was enrolled. Record it again, closer to the microphone or in a quieter place.",
  overloaded: "The service has more to do than it can. Try again in a moment.",
  rate_limited: "That was more than this key may ask within a minute. Try again in a moment.",
  model_not_ready: "The service is still starting. Try again in a moment.",
  store_error: "The service cannot use its database at the moment.",
  internal_error: "The service made a mistake.",
};

export class Problem extends Error {
  constructor({ code, status = 0, detail = "", requestId = null, retryAfterS = null }) {
    super(detail || code);
    Object.assign(this, { code, status, detail, requestId, retryAfterS });
  }

  /** Of a problem as the service writes it. */
  static of({ code = "unknown", status, detail, request_id: requestId }, retryAfterS = null) {
    return new Problem({ code, status, detail, requestId, retryAfterS });
  }

  /** What happened and what to do. */
  get words() {
    if (this.code === "forbidden") return scopeInWords(this.detail);
    return WORDS[this.code] ?? this.detail;
  }
}

function scopeInWords(detail) {
  const scope = /needs the scope '(\w+)'/.exec(detail)?.[1];
  return scope ? `Your key lacks the scope “${scope}”. Ask whoever runs the service for one that has it.` : detail;
}

/** A problem to be seen; the service's own sentence stands below where ours is another. With `retry` there is a button for it. */
export function problemView(error, retry = null) {
  const known =
    error instanceof Problem
      ? error
      : new Problem({ code: "page", detail: `This page made a mistake: ${error.message}` });
  const more = [known.detail !== known.words && known.detail, known.requestId && `Request ${known.requestId}`].filter(
    Boolean,
  );
  return element(
    "div",
    { className: "problem", role: "alert" },
    icon("warning"),
    element(
      "div",
      {},
      element("p", { className: "problem-words" }, known.words),
      more.length ? element("p", { className: "small" }, more.join(" · ")) : null,
    ),
    retry && element("button", { type: "button", onclick: retry }, "Try again"),
  );
}
