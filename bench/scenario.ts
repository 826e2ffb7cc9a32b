// What a scenario is: the same work, done directly and through the mesh. Made in scenarios/, run by main.ts.

/** Does the work once. */
export type Run = () => Promise<void>;
export type Scenario = {
  readonly name: string;
  readonly unit: string;
  /** Units of work in one run. */
  readonly amount: number;
  readonly direct: Run;
  readonly mesh: Run;
  close(): Promise<void>;
};
