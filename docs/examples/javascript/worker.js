/* worker.js: a process that works for the window of checksum.js
 *
 * gjs -m worker.js walk URI… finds the files at or below each URI, and sends
 *
 *   {uri, size}       for each file
 *   {uri, problem}    for each folder that can't be read
 *
 * gjs -m worker.js sum reads URIs of files from its standard input, one per line,
 * computes the SHA-256 of each file, and sends
 *
 *   {done}            now and then: how many bytes it has read
 *   {done, checksum}  or
 *   {problem}         at the end of each file
 *
 * It uses URIs and not paths, since a name may be in any encoding.
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

import Gio from 'gi://Gio';
import GLib from 'gi://GLib';
import GMsg from 'gi://GMsg?version=1';
import System from 'system';

const BLOCK_SIZE = 256 * 1024;

// Progress that is sent more often than the window redraws is of no use.
const PROGRESS_USEC = GLib.USEC_PER_SEC / 60;

const ATTRIBUTES = 'standard::name,standard::type,standard::size';

const [work, ...roots] = System.programArgs;
let sender = null;

/* Makes a call that takes a cancellable fail once the window has called receiver.cancel().
 * This process has no main loop, so the sender learns of that only when it is called. */
function getCancellable() {
    return sender.get_cancellable();
}

function isCancelled(error) {
    return error.matches?.(Gio.IOErrorEnum, Gio.IOErrorEnum.CANCELLED);
}

/** Tells whether only this file or folder has failed, and the work can go on. */
function isProblem(error) {
    return error.matches?.(Gio.IOErrorEnum, error.code) && !isCancelled(error);
}

/** Yields the files and folders in a folder. */
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

/** Yields every file at or below a root, without following links. */
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

/** Reads a file, block by block. */
function* readFile(file) {
    const stream = file.read(getCancellable());

    // The garbage collector would close it, too, but perhaps only after the process has run
    // out of file descriptors.
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

/* This is slower than in the other languages: GLib's SHA-256, which is plain C, is the only
 * one that a script has. */
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

/** Yields the lines of standard input. */
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

/* Tells whether the error means that the window is gone. It may go at any time, even before
 * this process has connected. */
function isLost(error) {
    return error.matches?.(GMsg.Error, GMsg.Error.CLOSED) || error.matches?.(GMsg.Error, GMsg.Error.CONNECTION);
}

try {
    sender = GMsg.Sender.new_from_environment();
    sender.start();
    try {
        ({walk, sum})[work]();
    } catch (error) {
        // A cancelled walk or sum has ended as asked. Any other error is reported to the window.
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
