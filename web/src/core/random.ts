/** Numbers that are the same on every machine for the same seed. */

/** A stream of pseudo-random numbers: mulberry32, 32 bits of state, period 2³². */
export class Random {
  private state: number;

  constructor(seed: number) {
    // Seeds next to each other must not give streams that overlap after a few draws.
    this.state = mixed(seed | 0);
  }

  /** Uniform in [0, 1), a multiple of 2⁻⁵³. */
  uniform(): number {
    const high = this.bits() >>> 5;
    const low = this.bits() >>> 6;
    return (high * 67108864 + low) / 9007199254740992;
  }

  /** Standard normal, by Box and Muller. */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    return radius * Math.cos(2 * Math.PI * this.uniform());
  }

  /** An integer from 0 to `below` − 1. */
  integer(below: number): number {
    return Math.floor(this.uniform() * below);
  }

  /** The numbers 0 … `count` − 1 in an order in which every one is equally likely. */
  order(count: number): Int32Array {
    const order = Int32Array.from({ length: count }, (_, k) => k);
    for (let k = count - 1; k > 0; k--) {
      const other = this.integer(k + 1);
      const kept = order[k] as number;
      order[k] = order[other] as number;
      order[other] = kept;
    }
    return order;
  }

  private bits(): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    return mixed(this.state);
  }
}

function mixed(value: number): number {
  let t = Math.imul(value ^ (value >>> 15), value | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return (t ^ (t >>> 14)) >>> 0;
}
