// Preloaded into the process of every test file by run.ts: ends the file when it holds its process open beyond its time,
// naming what still lives in it. The test runner's own limit ends tests only, never hooks or what they left running.

const limitMs = Number(process.env['AMBIT_TEST_FILE_LIMIT_MS']);
const file = process.argv[1];

// the process of the runner itself has no file of its own
if (limitMs > 0 && file?.endsWith('.test.ts') === true) {
  setTimeout(() => {
    const held = process.getActiveResourcesInfo().join(', ');
    process.stderr.write(`Ended ${file}: it still ran after ${limitMs / 1000} s, with ${held}\n`);
    process.exit(1);
  }, limitMs).unref();
}
