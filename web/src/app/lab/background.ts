/** Long computations in small pieces between the frames. */

/** What a computation is written as: it yields wherever it may be interrupted. */
export type Work = Generator<void, void>;

interface Job {
  work: Work;
  /** What replaces it when it is done. */
  next: (() => Work) | null;
}

/** How long one frame may be kept busy, in milliseconds; 16.7 are there at 60 frames a second. */
const BUDGET = { calm: 9, busy: 2.5 };

/** Jobs by name; one name never has two at once. */
export class Background {
  /** Set while something else needs most of every frame. */
  busy = false;
  private readonly jobs = new Map<string, Job>();
  private frame = 0;

  /** Start `make()`, dropping what runs under this name. */
  restart(name: string, make: () => Work): void {
    this.jobs.set(name, { work: make(), next: null });
    this.wake();
  }

  /** Start `make()` as soon as what runs under this name is done. */
  follow(name: string, make: () => Work): void {
    const job = this.jobs.get(name);
    if (job) job.next = make;
    else this.restart(name, make);
  }

  stop(name: string): void {
    this.jobs.delete(name);
  }

  private wake(): void {
    if (!this.frame) this.frame = requestAnimationFrame(() => this.run());
  }

  /** In turn, so that a long job does not hold up a short one. */
  private run(): void {
    this.frame = 0;
    const end = performance.now() + (this.busy ? BUDGET.busy : BUDGET.calm);
    while (this.jobs.size) {
      for (const [name, job] of this.jobs) {
        if (job.work.next().done && this.jobs.get(name) === job) this.finish(name, job);
        if (performance.now() >= end) {
          this.rotate(name);
          this.wake();
          return;
        }
      }
    }
  }

  private finish(name: string, job: Job): void {
    this.jobs.delete(name);
    if (job.next) this.jobs.set(name, { work: job.next(), next: null });
  }

  /** The job that had its turn goes to the end. */
  private rotate(name: string): void {
    const job = this.jobs.get(name);
    if (!job) return;
    this.jobs.delete(name);
    this.jobs.set(name, job);
  }
}

export const background = new Background();
