// A verification while somebody speaks: samples in, a running answer out, and the decision as soon as enough was said
// (docs/streaming.md).

import { pcmBytes } from "./pcm.js";
import { Problem } from "./problem.js";

export class VerifyStream {
  #socket;
  #unsent = [];

  /**
   * What POST /verify would answer, or null where the socket was not to be had, was lost, or the service could not: then the clip can
   * still be sent whole. Raises Problem where that would not help.
   */
  answer;

  /** `socket` may be null; `start` says which speaker's threshold and what samples; `onRunning` gets what the service says so far. */
  constructor(socket, start, onRunning) {
    this.#socket = socket;
    this.answer = socket === null ? Promise.resolve(null) : this.#answered(onRunning);
    socket?.addEventListener("open", () => this.#sendWhatWaited());
    this.#send(JSON.stringify({ format: "pcm_s16le", ...start }));
  }

  take(samples) {
    this.#send(pcmBytes(samples));
  }

  /** Nothing more is said. A socket that is not open by then is not waited for. */
  end() {
    if (this.#socket?.readyState === WebSocket.CONNECTING) this.#socket.close();
    else this.#send(JSON.stringify({ end: true }));
  }

  /** Nobody wants the answer any more. */
  close() {
    this.#socket?.close();
  }

  #answered(onRunning) {
    return new Promise((resolve, reject) => {
      this.#socket.addEventListener("close", () => resolve(null));
      this.#socket.addEventListener("message", ({ data }) => {
        const told = JSON.parse(data);
        if (told.type === "running") onRunning(told);
        else if (told.type === "final") resolve(told.verification);
        else if (told.problem.status >= 500) resolve(null);
        else reject(Problem.of(told.problem));
      });
    });
  }

  /** What comes after the end of a socket is for nobody. */
  #send(data) {
    if (this.#socket?.readyState === WebSocket.CONNECTING) this.#unsent.push(data);
    else if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(data);
  }

  #sendWhatWaited() {
    for (const data of this.#unsent.splice(0)) this.#socket.send(data);
  }
}
