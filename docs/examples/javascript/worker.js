/* worker.js: a process that works for the window of checksum.js
 *
 * gjs -m worker.js walk URI… finds the files at or below these, and sends
 *
 *   {uri, size}       of each file
 *   {uri, problem}    where a folder can't be read
 *
 * gjs -m worker.js sum computes the SHA-256 of the files whose URIs it reads from
 * its standard input, one a line, and sends of each
 *
 *   {done}            now and then: how many bytes it has read
 *   {done, checksum}  or
 *   {problem}         last
 *
 * They are URIs, since a name may be in any encoding.
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

import Gio from 'gi://Gio';
import GLib from 'gi://GLib';
import GMsg from 'gi://GMsg?version=1';
import System from 'system';

const BLOCK_SIZE = 256 * 1024;

// More often than the window draws is of no use.
const PROGRESS_USEC = GLib.USEC_PER_SEC / 60;

const ATTRIBUTES = 'standard::name,standard::type,standard::size';

const [work, ...roots] = System.programArgs;
let sender = null;

/* Fails what it is given to once the window has called receiver.cancel(): without a
 * main loop, a sender hears of that when it is called. */
function getCancellable() {
    return sender.get_cancellable();
}

function isCancelled(error) {
    return error.matches?.(Gio.IOErrorEnum, Gio.IOErrorEnum.CANCELLED);
}

/** Tells whether it is only this file or folder that fails. */
function isProblem(error) {
    return error.matches?.(Gio.IOErrorEnum, error.code) && !isCancelled(error);
}

/** Yields what is in a folder. */
function* listFolder(folder) {
    const enumerator = folder.enumerate_children(ATTRIBUTES,
        Gio.FileQueryInfoFlags.NOFOLLOW_SYMLINKS, getCancellable());

    try {
        let info;

        while ((info = enumerator.next_file(getCancellable())) !== null)
            yield [enumerator.get_child(info), info];
    } finally {
        enumerator.close(null);
    }
}

/** Yields every file at or below a root; follows no links. */
function* findFiles(root) {
    const pending = [root];

    while (pending.length > 0) {
        const folder = pending.pop();

        try {
            const info = folder.query_info(ATTRIBUTES,
                Gio.FileQueryInfoFlags.NOFOLLOW_SYMLINKS, getCancellable());

            if (info.get_file_type() === Gio.FileType.REGULAR)
                yield [folder, info];
            if (info.get_file_type() !== Gio.FileType.DIRECTORY)
                continue;

            for (const [child, childInfo] of listFolder(folder)) {
                if (childInfo.get_file_type() === Gio.FileType.REGULAR)
                    yield [child, childInfo];
                else if (childInfo.get_file_type() === Gio.FileType.DIRECTORY)
                    pending.push(child);
            }
        } catch (error) {
            if (!isProblem(error))
                throw error;
            sender.send({uri: folder.get_uri(), problem: error.message});
        }
    }
}

function walk() {
    for (const root of roots) {
        for (const [file, info] of findFiles(Gio.File.new_for_uri(root)))
            sender.send({uri: file.get_uri(), size: info.get_size()});
    }
}

/** Reads a file, a block at a time. */
function* readFile(file) {
    const stream = file.read(getCancellable());

    // The collector would close it too, but may take longer than there are
    // descriptors for.
    try {
        for (;;) {
            const bytes = stream.read_bytes(BLOCK_SIZE, getCancellable());

            if (bytes.get_size() === 0)
                return;
            yield bytes;
        }
    } finally {
        stream.close(null);
    }
}

/* Not as fast as in the other languages: a script has no other SHA-256 than GLib's, which
 * is plain C. */
function computeChecksum(file) {
    const checksum = new GLib.Checksum(GLib.ChecksumType.SHA256);
    let done = 0;
    let sentAt = GLib.get_monotonic_time();

    for (const bytes of readFile(file)) {
        const now = GLib.get_monotonic_time();

        checksum.update(bytes.toArray());
        done += bytes.get_size();
        if (now >= sentAt + PROGRESS_USEC) {
            sender.send({done});
            sentAt = now;
        }
    }
    return {done, checksum: checksum.get_string()};
}

/** Yields the lines of the standard input. */
function* readLines() {
    const stream = Gio.File.new_for_path('/dev/stdin').read(null);
    const input = new Gio.DataInputStream({base_stream: stream});

    for (;;) {
        const [line] = input.read_line_utf8(null);

        if (line === null)
            return;
        yield line;
    }
}

function sum() {
    for (const uri of readLines()) {
        let result;

        try {
            result = computeChecksum(Gio.File.new_for_uri(uri));
        } catch (error) {
            if (!isProblem(error))
                throw error;
            result = {problem: error.message};
        }
        sender.send(result);
    }
}

/* Tells whether the window is gone, so that there is nobody to tell. It may go at any time,
 * also before this process is connected. */
function isLost(error) {
    return error.matches?.(GMsg.Error, GMsg.Error.CLOSED) || error.matches?.(GMsg.Error, GMsg.Error.CONNECTION);
}

try {
    sender = GMsg.Sender.new_from_environment();
    sender.start();
    try {
        ({walk, sum})[work]();
    } catch (error) {
        // The window is told of any other, as it would be if the process just ended by it.
        if (!isCancelled(error)) {
            sender.fail(error);
            throw error;
        }
    }
    sender.stop();
} catch (error) {
    if (!isLost(error))
        throw error;
    System.exit(1);
}
