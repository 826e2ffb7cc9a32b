// The other half of taking something that is bounded: a slot, a place in a budget. Returned by every engine of this folder
// that counts what is under way. Invariant: calling it again gives nothing back twice.

export type Release = () => void;

export function once(run: () => void): Release {
  let open = true;
  return () => {
    if (!open) return;
    open = false;
    run();
  };
}
