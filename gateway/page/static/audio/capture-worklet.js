// @ts-check
/** Runs in the audio thread: turns the microphone's samples into 16-bit ones at another rate, 40 ms at a time. */

const BLOCK_SECONDS = 0.04;

// @ts-ignore - the names of the worklet's scope
class Capture extends AudioWorkletProcessor {
  /** @param {{processorOptions: {rate: number}}} options */
  constructor(options) {
    super();
    this.rate = options.processorOptions.rate;
    // @ts-ignore
    this.step = sampleRate / this.rate; // samples in for each sample out
    this.block = new Int16Array(Math.round(this.rate * BLOCK_SECONDS));
    this.filled = 0;
    this.peak = 0;
    this.sum = 0; // of the samples in that the next sample out averages, which keeps aliases out
    this.weight = 0;
  }

  /** @param {Float32Array[][]} inputs */
  process(inputs) {
    for (const sample of inputs[0][0] ?? []) {
      let left = 1;
      while (this.weight + left >= this.step - 1e-9) {
        const part = this.step - this.weight;
        this.#write((this.sum + sample * part) / this.step);
        left -= part;
        this.sum = this.weight = 0;
      }
      this.sum += sample * left;
      this.weight += left;
    }
    return true;
  }

  /** @param {number} value */
  #write(value) {
    this.peak = Math.max(this.peak, Math.abs(value));
    this.block[this.filled++] = Math.max(-1, Math.min(1, value)) * 32767;
    if (this.filled < this.block.length) return;
    const samples = this.block.slice();
    // @ts-ignore
    this.port.postMessage({ samples, level: this.peak }, [samples.buffer]);
    this.filled = this.peak = 0;
  }
}

// @ts-ignore
registerProcessor("capture", Capture);
