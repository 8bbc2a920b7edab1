/* ambient.d.ts: as much of GJS and GLib as the examples need, in place of what
 * editors take from ts-for-gir
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

declare module 'gi://GLib?version=2.0' {
    namespace GLib {
        type Quark = number;

        class Bytes {
            constructor(data: Uint8Array);
            get_size(): number;
        }

        class Error {
            constructor(domain: any, code: number, message: string);
            code: number;
            message: string;
            matches(domain: any, code: number): boolean;
        }

        class MainContext {
            static default(): MainContext;
            acquire(): boolean;
        }

        class MainLoop {
            constructor(context: MainContext | null, isRunning: boolean);
            run(): void;
            quit(): void;
        }

        class Variant {
            constructor(type: string, value: any);
            deepUnpack(): any;
        }
    }

    export default GLib;
}

declare module 'gi://GObject?version=2.0' {
    namespace GObject {
        class Object {
            connect(signal: string, callback: (...args: any[]) => any): number;
            connect_after(signal: string, callback: (...args: any[]) => any): number;
            disconnect(id: number): void;
        }
    }

    export default GObject;
}

declare module 'gi://Gio?version=2.0' {
    import type GObject from 'gi://GObject?version=2.0';

    namespace Gio {
        interface AsyncResult {
            is_tagged(tag: any): boolean;
        }

        class Cancellable extends GObject.Object {
            cancel(): void;
        }

        class Subprocess extends GObject.Object {
            force_exit(): void;
        }

        class SubprocessLauncher extends GObject.Object {
            setenv(variable: string, value: string, overwrite: boolean): void;
        }
    }

    export default Gio;
}

declare function print(...values: any[]): void;
