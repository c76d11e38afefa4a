// The microphone, as it is: what a browser does for calls (gain, echo, noise) changes a voice.

const AS_IT_IS = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };

const WHY_NOT = {
  NotAllowedError:
    "The browser was told not to give the microphone to this page. Allow it in the address bar, or drop a file.",
  NotFoundError: "There is no microphone. Connect one, or drop a file.",
  NotReadableError: "Another program holds the microphone. Close it, or drop a file.",
};

/** Begins to record; `onPiece` gets each piece of samples as it comes, the last one too. Raises an Error with a sentence. */
export async function record(onPiece) {
  if (!navigator.mediaDevices) {
    throw new Error(
      "Browsers give the microphone to https and localhost pages only. Open the page there, or drop a file.",
    );
  }
  const stream = await navigator.mediaDevices.getUserMedia({ audio: AS_IT_IS }).catch((error) => {
    throw new Error(WHY_NOT[error.name] ?? `The microphone cannot be used: ${error.message}`);
  });
  const context = new AudioContext();
  try {
    await context.resume(); // Safari starts it asleep
    await context.audioWorklet.addModule(new URL("./capture.worklet.js", import.meta.url));
    return begin(context, stream, onPiece);
  } catch (error) {
    await end(context, stream);
    throw error;
  }
}

function begin(context, stream, onPiece) {
  const pieces = [];
  const node = new AudioWorkletNode(context, "capture", { channelCount: 1, channelCountMode: "explicit" });
  const whole = new Promise((resolve) => {
    node.port.onmessage = ({ data: { samples, isLast } }) => {
      pieces.push(samples);
      onPiece(samples);
      if (isLast) resolve(joined(pieces));
    };
  });
  context.createMediaStreamSource(stream).connect(node).connect(context.destination); // it plays nothing, but without it nothing flows
  return {
    rateHz: context.sampleRate,
    /** All samples, as a Float32Array. */
    async stop() {
      node.port.postMessage("stop");
      const samples = await whole;
      await end(context, stream);
      return samples;
    },
  };
}

async function end(context, stream) {
  for (const track of stream.getTracks()) track.stop();
  await context.close();
}

function joined(pieces) {
  const whole = new Float32Array(pieces.reduce((n, piece) => n + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
