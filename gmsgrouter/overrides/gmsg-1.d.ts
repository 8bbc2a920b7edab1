/* gmsg-1.d.ts: type declarations of the library for TypeScript and editors
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

declare module 'gi://GMsg?version=1' {
    import type GLib from 'gi://GLib?version=2.0';
    import type GObject from 'gi://GObject?version=2.0';
    import type Gio from 'gi://Gio?version=2.0';

    namespace GMsg {
        const MAJOR_VERSION: number;
        const MINOR_VERSION: number;
        const MICRO_VERSION: number;
        const VERSION_S: string;

        /** A value that sender.send() accepts. */
        type Value =
            | null
            | undefined
            | boolean
            | number
            | bigint
            | string
            | ArrayBuffer
            | ArrayBufferView
            | GLib.Bytes
            | GLib.Variant
            | readonly Value[]
            | ReadonlyMap<string, Value>
            | ReadonlyMap<boolean, Value>
            | ReadonlyMap<number | bigint, Value>
            | { readonly [key: string]: Value };

        /** T, if sender.send() accepts it. The type of an interface is never a Value, since it has
         *  no index signature; but its objects may be values, so each property is checked. */
        type Sendable<T> = T extends Value
            ? T
            : T extends ((...args: any[]) => any) | symbol
              ? never
              : T extends ReadonlyMap<infer K, infer V>
                ? (K extends string | boolean | number | bigint ? ReadonlyMap<K, Sendable<V>> : never)
                : T extends object
                  ? { readonly [K in keyof T]: Sendable<T[K]> }
                  : never;

        /** A value that unpack() returns. */
        type Unpacked =
            | null
            | boolean
            | number
            | bigint
            | string
            | Uint8Array
            | Unpacked[]
            | Map<boolean | number | bigint, Unpacked>
            | { [key: string]: Unpacked };

        /** Returns the plain value from which a message was made. */
        function unpack<T = Unpacked>(message: GLib.Variant): T;

        function error_quark(): GLib.Quark;

        /** Sets a function that is called every 50 ms while a call waits; if it returns true, the
         *  call ends. */
        function set_interrupt_func(func: (() => boolean) | null): void;

        /** The errors of the library, and their codes. */
        class Error extends GLib.Error {
            static readonly ALREADY_STARTED: number;
            static readonly NOT_RUNNING: number;
            static readonly NOT_STARTED: number;
            static readonly STOPPED: number;
            static readonly CLOSED: number;
            static readonly UNKNOWN_RECEIVER: number;
            static readonly TIMED_OUT: number;
            static readonly WRONG_THREAD: number;
            static readonly FULL: number;
            static readonly PENDING: number;
            static readonly INVALID_ARGUMENT: number;
            static readonly EXPORTED: number;
            static readonly INVALID_ADDRESS: number;
            static readonly CONNECTION: number;
            static readonly PEER_LOST: number;
            static readonly PROTOCOL: number;
            static readonly TOO_LARGE: number;
            static readonly NOT_SUPPORTED: number;
            static readonly FAILED: number;

            static quark(): GLib.Quark;
        }

        /** The action of send() when the pipe is full. */
        enum Overflow {
            BLOCK,
            FAIL,
            DROP_OLDEST,
        }

        /** The state of a router's connection to the server for other machines. */
        enum ConnectionState {
            NONE,
            CONNECTING,
            CONNECTED,
            DISCONNECTED,
        }

        /** The state of a sender. */
        enum SenderState {
            INITIAL,
            OPEN,
            STOPPED,
            EXPORTED,
        }

        /** The state of a receiver. */
        enum ReceiverState {
            OPEN,
            FINISHED,
            CLOSED,
        }

        interface PipeOptions {
            /** How many undelivered messages the pipe can hold; unlimited by default. */
            capacity?: number;
            /** The action of send() when the pipe is full; Overflow.BLOCK by default. */
            overflow?: Overflow;
        }

        interface RouterProperties {
            context?: GLib.MainContext | null;
            priority?: number;
            budget?: number;
            max_latency?: number;
            maxLatency?: number;
            auto_close?: boolean;
            autoClose?: boolean;
            max_message_size?: number;
            maxMessageSize?: number;
            max_backlog_size?: number;
            maxBacklogSize?: number;
            open_timeout?: number;
            openTimeout?: number;
            peer_timeout?: number;
            peerTimeout?: number;
        }

        /** Owns the pipes, and delivers their messages in its main context. */
        class Router extends GObject.Object {
            constructor(properties?: RouterProperties | GLib.MainContext | null);
            static new(context: GLib.MainContext | null): Router;

            readonly context: GLib.MainContext;
            readonly running: boolean;
            readonly n_pipes: number;
            readonly nPipes: number;
            readonly connection_state: ConnectionState;
            readonly connectionState: ConnectionState;
            priority: number;
            budget: number;
            max_latency: number;
            maxLatency: number;
            auto_close: boolean;
            autoClose: boolean;
            max_message_size: number;
            maxMessageSize: number;
            max_backlog_size: number;
            maxBacklogSize: number;
            open_timeout: number;
            openTimeout: number;
            peer_timeout: number;
            peerTimeout: number;

            get_context(): GLib.MainContext;
            get_running(): boolean;
            get_n_pipes(): number;
            get_priority(): number;
            set_priority(priority: number): void;
            get_budget(): number;
            set_budget(budget: number): void;
            get_max_latency(): number;
            set_max_latency(max_latency: number): void;
            get_auto_close(): boolean;
            set_auto_close(auto_close: boolean): void;
            get_max_message_size(): number;
            set_max_message_size(max_message_size: number): void;
            get_max_backlog_size(): number;
            set_max_backlog_size(max_backlog_size: number): void;
            get_open_timeout(): number;
            set_open_timeout(open_timeout: number): void;
            get_peer_timeout(): number;
            set_peer_timeout(peer_timeout: number): void;
            get_connection_state(): ConnectionState;

            start(): boolean;
            stop(): boolean;
            /** Asks all tasks to end, delivers their messages until they have ended, and stops the
             *  router. */
            shutdown(timeout_usec?: number): boolean;
            /** Does the same as shutdown() while the main loop goes on. */
            shutdown_async(timeout_usec?: number, cancellable?: Gio.Cancellable | null): Promise<boolean>;
            shutdown_async(
                timeout_usec: number,
                cancellable: Gio.Cancellable | null,
                callback: ((source: Router | null, result: Gio.AsyncResult) => void) | null,
            ): void;
            shutdown_finish(result: Gio.AsyncResult): boolean;
            /** Makes a pipe, which is bounded if a capacity is given. */
            pipe(options?: PipeOptions): [Sender, Receiver];
            pipe_bounded(capacity: number, overflow: Overflow): [Sender, Receiver];
            close_pipe(receiver: Receiver): boolean;
            /** Delivers messages without a main loop, until the condition is true. An exception in
             *  the condition ends the call. */
            route_until(timeout_usec: number, condition: () => boolean): boolean;
            /** Chooses the address at which workers connect. Call it before the first address is
             *  made. */
            listen(address: string): boolean;
        }

        /** The end of a pipe that sends. */
        class Sender extends GObject.Object {
            /** Makes the sender of a worker process. It is kept alive until it is stopped; if the
             *  process ends before that, the worker counts as lost. */
            static new_for_address(address: string): Sender;
            static new_from_environment(): Sender;

            readonly id: number;
            readonly state: SenderState;

            get_id(): number;
            get_state(): SenderState;
            get_cancellable(): Gio.Cancellable;

            start(): boolean;
            /** Sends a GLib.Variant, or a plain value, which becomes one. */
            send<T>(value: T & Sendable<T>): boolean;
            /** Does the same as send(), but waits for room at most this many microseconds. A negative
             *  number, or Infinity, means no limit. */
            send_full<T>(
                value: T & Sendable<T>,
                timeout_usec: number,
                cancellable?: Gio.Cancellable | null,
            ): boolean;
            /** Ends the sender's side: the work is done. */
            stop(): boolean;
            /** Ends the sender's side: the work has failed for this reason. */
            fail(reason: globalThis.Error | GLib.Error | string): boolean;
            /** Hands the sender over to the process that opens the address. */
            dup_address(): string;
            /** Starts a worker process, and hands the sender over to it. */
            spawn(launcher: Gio.SubprocessLauncher | null, argv: string[]): Gio.Subprocess;
        }

        /** The end of a pipe that stays in the router's thread. */
        class Receiver extends GObject.Object implements AsyncIterable<GLib.Variant> {
            readonly id: number;
            readonly state: ReceiverState;
            readonly n_received: number;
            readonly nReceived: number;
            name: string | null;
            readonly n_dropped: number;
            readonly nDropped: number;
            readonly n_waiting: number;
            readonly nWaiting: number;
            pull_mode: boolean;
            pullMode: boolean;

            get_id(): number;
            get_state(): ReceiverState;
            get_n_received(): number;
            get_name(): string | null;
            set_name(name: string | null): void;
            get_n_dropped(): number;
            dup_error(): GLib.Error | null;
            get_n_waiting(): number;
            get_pull_mode(): boolean;
            set_pull_mode(pull_mode: boolean): void;

            /** Returns the process that spawn() started for this pipe. */
            dup_process(): Gio.Subprocess | null;

            cancel(): void;
            /** Waits for the next message; the result is null once the pipe has finished. */
            next_async(cancellable?: Gio.Cancellable | null): Promise<GLib.Variant | null>;
            next_async(
                cancellable: Gio.Cancellable | null,
                callback: ((source: Receiver | null, result: Gio.AsyncResult) => void) | null,
            ): void;
            next_finish(result: Gio.AsyncResult): GLib.Variant | null;
            /** Waits for messages, and takes all waiting ones, at most 1,000 by default; 0 means no
             *  limit. The result is empty once the pipe has finished. */
            next_many_async(max?: number, cancellable?: Gio.Cancellable | null): Promise<GLib.Variant[]>;
            next_many_async(
                max: number,
                cancellable: Gio.Cancellable | null,
                callback: ((source: Receiver | null, result: Gio.AsyncResult) => void) | null,
            ): void;
            next_many_finish(result: Gio.AsyncResult): GLib.Variant[];
            /** Takes the waiting messages, at most 1,000 by default; 0 means no limit. */
            take(max?: number): GLib.Variant[];
            /** Waits for messages, and yields all waiting ones as an array, for `for await`. */
            batches(max?: number): AsyncGenerator<GLib.Variant[], void, void>;
            [Symbol.asyncIterator](): AsyncGenerator<GLib.Variant, void, void>;

            connect(
                signal: 'message',
                callback: (source: this, message: GLib.Variant) => void,
            ): number;
            connect(
                signal: 'ready',
                callback: (source: this) => void,
            ): number;
            connect(
                signal: 'finished',
                callback: (source: this, error: GLib.Error | null) => void,
            ): number;
            connect(signal: string, callback: (...args: any[]) => any): number;
            connect_after(
                signal: 'message',
                callback: (source: this, message: GLib.Variant) => void,
            ): number;
            connect_after(
                signal: 'ready',
                callback: (source: this) => void,
            ): number;
            connect_after(
                signal: 'finished',
                callback: (source: this, error: GLib.Error | null) => void,
            ): number;
            connect_after(signal: string, callback: (...args: any[]) => any): number;
        }
    }

    export default GMsg;
}

declare module 'gi://GMsg' {
    import GMsg from 'gi://GMsg?version=1';

    export default GMsg;
}
