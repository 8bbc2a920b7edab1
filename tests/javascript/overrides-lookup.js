/* overrides-lookup.js: where GJS looks for the overrides, and what is left without them
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

import Gio from 'gi://Gio';
import GLib from 'gi://GLib';

import {assert, assertEqual, run, test} from './harness.js';

const USE = `
    const router = new GMsg.Router();
    router.start();
    const [sender, receiver] = router.pipe();
    sender.start();
    sender.send(new GLib.Variant('i', 1));
    let value = null;
    receiver.connect('message', (_, message) => (value = message.deepUnpack()));
    router.route_until(-1, () => value !== null);
    router.close_pipe(receiver);
    router.stop();
    print(imports.overrides.GMsg.__file__, typeof GMsg.unpack, value);
`;
const MODULE = `
    import GLib from 'gi://GLib';
    import GMsg from 'gi://GMsg?version=1';
    ${USE}`;

/** Returns what a program prints when it is run with these arguments and environment. */
function runGjs(directory, script, args = [], environment = {}) {
    const path = `${directory}/program.js`;
    const launcher = new Gio.SubprocessLauncher({
        flags: Gio.SubprocessFlags.STDOUT_PIPE | Gio.SubprocessFlags.STDERR_MERGE,
    });

    GLib.file_set_contents(path, script);
    launcher.unsetenv('GJS_PATH');
    for (const [name, value] of Object.entries(environment))
        launcher.setenv(name, value, true);

    const process = launcher.spawnv(['gjs', ...args, path]);
    const [, output] = process.communicate_utf8(null, null);

    assert(process.get_successful(), output);
    return output.trim();
}

/** Puts the overrides where "meson install" does, below a prefix of their own. */
function withPrefix(func) {
    const source = Gio.File.new_for_path(`${GLib.getenv('GJS_PATH')}/overrides/GMsg.js`);
    const prefix = GLib.Dir.make_tmp('gmsg-prefix-XXXXXX');
    const directory = `${prefix}/share/gjs-1.0/overrides`;
    const file = Gio.File.new_for_path(`${directory}/GMsg.js`);

    GLib.mkdir_with_parents(directory, 0o755);
    source.copy(file, Gio.FileCopyFlags.NONE, null, null);
    try {
        func(prefix, `${file.get_path()} function 1`);
    } finally {
        file.delete(null);
        GLib.unlink(`${prefix}/program.js`);
        for (const part of ['share/gjs-1.0/overrides', 'share/gjs-1.0', 'share', ''])
            GLib.rmdir(`${prefix}/${part}`);
    }
}

// The environment of a program that finds the overrides below a prefix.
const WAYS = {
    'data-directories': prefix => [MODULE, ['-m'], {XDG_DATA_DIRS: `/nonexistent:${prefix}/share:/usr/share`}],
    'gjs-path': prefix => [MODULE, ['-m'], {GJS_PATH: `${prefix}/share/gjs-1.0`}],
    'include-path': prefix => [MODULE, ['-I', `${prefix}/share/gjs-1.0`, '-m']],
    'from-the-program': prefix => [`
        import GLib from 'gi://GLib';
        imports.overrides.searchPath.unshift('${prefix}/share/gjs-1.0/overrides');
        const {default: GMsg} = await import('gi://GMsg?version=1');
        ${USE}`, ['-m']],
    'script-that-is-no-module': prefix => [`
        imports.gi.versions.GMsg = '1';
        const {GLib, GMsg} = imports.gi;
        ${USE}`, [], {GJS_PATH: `${prefix}/share/gjs-1.0`}],
};

for (const [name, way] of Object.entries(WAYS)) {
    test(`/overrides/lookup/${name}`, () => {
        withPrefix((prefix, expected) => assertEqual(runGjs(prefix, ...way(prefix)), expected));
    });
}

test('/overrides/lookup/hidden', () => {
    withPrefix(prefix => {
        const bare = Gio.File.new_for_uri(import.meta.url).get_parent().get_child('bare').get_path();
        const output = runGjs(prefix, MODULE, ['-m'], {GJS_PATH: bare, XDG_DATA_DIRS: `${prefix}/share`});

        assertEqual(output, `${bare}/overrides/GMsg.js undefined 1`);
    });
});

run();
