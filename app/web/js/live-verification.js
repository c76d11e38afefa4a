// A speaker verified while somebody speaks: what the service hears is shown, and its decision ends the recording.

import { LiveView } from "./live-view.js";
import { stopRecording } from "./recording-panel.js";
import { speakerPath } from "./service.js";
import { VerifyStream } from "./verify-stream.js";

export class LiveVerification {
  #service;
  #view;
  #onSpeech;
  #stream = null;

  /** `limits` are the service's; `onSpeech` gets the seconds of speech that the service counts, or null where it counts no more. */
  constructor(service, prior, limits, onSpeech) {
    this.#service = service;
    this.#view = new LiveView(prior, limits.min_speech_s);
    this.#onSpeech = onSpeech;
  }

  get view() {
    return this.#view.view;
  }

  get isOn() {
    return this.#stream !== null;
  }

  /** Opens a stream; what it returns takes the samples. `point` is the operating point as the model has it. */
  begin(speakerId, point, rateHz) {
    const socket = this.#service.socket(speakerPath(speakerId, "/verify/stream"));
    const start = { sample_rate_hz: rateHz, operating_point: point.name };
    const stream = new VerifyStream(socket, start, (running) => {
      if (stream === this.#stream) this.#tell(running);
    });
    this.#stream = stream;
    this.#view.begin(point);
    const end = (answer) => {
      if (stream === this.#stream) this.#end(answer);
    };
    stream.answer.then(end, end);
    return (samples) => stream.take(samples);
  }

  /** The answer to what was recorded, or null where there is none. Raises Problem. */
  async answer() {
    const stream = this.#stream;
    if (stream === null) return null;
    this.#stream = null;
    this.#view.wait();
    stream.end();
    try {
      return await stream.answer;
    } finally {
      if (!this.isOn) this.#view.hide();
    }
  }

  /** What was asked is asked no more. */
  drop() {
    this.#stream?.close();
    this.#stream = null;
    this.#view.hide();
  }

  #tell(running) {
    this.#view.tell(running);
    this.#onSpeech(running.audio.speech_s);
  }

  /** Nothing more is to be said, unless the clip must be sent whole. */
  #end(answer) {
    if (answer !== null) stopRecording();
    else {
      this.#view.lose();
      this.#onSpeech(null);
    }
  }
}
