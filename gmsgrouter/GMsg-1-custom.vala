/* GMsg-1-custom.vala: what vapigen can't write by itself
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

/* If vapigen finds a property in the .gir file, but the methods to read and write it are
 * hidden, the property is read by name with g_object_get(). A property that is declared
 * here calls the methods. */
namespace GMsg {
    public sealed class Router : GLib.Object {
        [Version (since = "1.0")]
        public bool auto_close { get; set; }
        [Version (since = "1.0")]
        public uint budget { get; set; }
        [Version (since = "1.0")]
        public GMsg.ConnectionState connection_state { get; }
        [Version (since = "1.0")]
        public GLib.MainContext context { get; construct; }
        [Version (since = "1.0")]
        public uint64 max_backlog_size { get; set; }
        [Version (since = "1.0")]
        public uint max_latency { get; set; }
        [Version (since = "1.0")]
        public uint open_timeout { get; set; }
        [Version (since = "1.0")]
        public uint64 max_message_size { get; set; }
        [Version (since = "1.0")]
        public uint n_pipes { get; }
        [Version (since = "1.0")]
        public uint peer_timeout { get; set; }
        [Version (since = "1.0")]
        public int priority { get; set; }
        [Version (since = "1.0")]
        public bool running { get; }
    }

    public sealed class Sender : GLib.Object {
        [Version (since = "1.0")]
        public uint64 id { get; }
        [Version (since = "1.0")]
        public GMsg.SenderState state { get; }
    }

    public sealed class Receiver : GLib.Object {
        [Version (since = "1.0")]
        public uint64 id { get; }
        [Version (since = "1.0")]
        public uint64 n_dropped { get; }
        [Version (since = "1.0")]
        public uint64 n_received { get; }
        [Version (since = "1.0")]
        public string? name { get; set; }
        [Version (since = "1.0")]
        public uint64 n_waiting { get; }
        [Version (since = "1.0")]
        public bool pull_mode { get; set; }
        [Version (since = "1.0")]
        public GMsg.ReceiverState state { get; }

        /* vapigen loses the fact that the length is a gsize. */
        [CCode (array_length_type = "gsize")]
        [Version (since = "1.0")]
        public async GLib.Variant[] next_many_async (uint max, GLib.Cancellable? cancellable = null) throws GLib.Error;
    }
}
