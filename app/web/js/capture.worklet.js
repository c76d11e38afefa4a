// Runs on the audio thread: hands the microphone's samples on, in pieces large enough not to flood the page.

const N_PIECE_SAMPLES = 2048;

class Capture extends AudioWorkletProcessor {
  #piece = new Float32Array(N_PIECE_SAMPLES);
  #n = 0;
  #isOn = true;

  constructor() {
    super();
    this.port.onmessage = () => {
      this.#isOn = false;
      this.port.postMessage({ samples: this.#piece.slice(0, this.#n), isLast: true });
    };
  }

  process([channels]) {
    if (!this.#isOn) return false;
    const samples = channels[0];
    if (samples === undefined) return true; // the microphone has not begun
    for (const sample of samples) {
      this.#piece[this.#n] = sample;
      this.#n += 1;
      if (this.#n === N_PIECE_SAMPLES) {
        this.port.postMessage({ samples: this.#piece.slice(), isLast: false });
        this.#n = 0;
      }
    }
    return true;
  }
}

registerProcessor("capture", Capture);
