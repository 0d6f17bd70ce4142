// Runs the benchmark scenarios. None exist yet.
process.stderr.write('bench: no scenarios yet\n');
