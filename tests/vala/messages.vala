/* messages.vala: the library as a Vala program sees it
 *
 * Copyright 2026 The gmsgrouter authors
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

const int64 DEADLINE = 30 * TimeSpan.SECOND;

delegate void Body () throws GLib.Error;

void
add_test (string path, owned Body body)
{
    Test.add_data_func (path, () => {
        try {
            body ();
        } catch (GLib.Error e) {
            error ("%s: %s", path, e.message);
        }
    });
}

/* A worker that owns its sender. */
Thread<int>
start_worker (owned GMsg.Sender sender, int n_messages)
{
    return new Thread<int> ("worker", () => {
        int n_sent = 0;

        try {
            sender.start ();
            for (; n_sent < n_messages; n_sent++)
                sender.send (n_sent);
            sender.stop ();
        } catch (GMsg.Error e) {
            error ("the worker failed: %s", e.message);
        }

        return n_sent;
    });
}

void
assert_finalized (owned Object object)
{
    bool finalized = false;

    object.weak_ref (() => finalized = true);
    object = null;
    assert_true (finalized);
}

/* A lambda in the caller would keep the receiver with whatever else it captures
 * there, and so would each handler. */
void
route_to_end (GMsg.Router router, GMsg.Receiver receiver) throws GMsg.Error
{
    router.route_until (DEADLINE, () => receiver.state == GMsg.ReceiverState.FINISHED);
}

void
end (owned GMsg.Router router, owned GMsg.Receiver receiver) throws GMsg.Error
{
    router.close_pipe (receiver);
    router.stop ();
    assert_true (receiver.state == GMsg.ReceiverState.CLOSED);
    assert_finalized ((owned) receiver);
    assert_finalized ((owned) router);
}

void
test_event_loop () throws GLib.Error
{
    var loop = new MainLoop ();
    var router = new GMsg.Router ();
    GMsg.Receiver receiver;
    int next = 0;
    bool has_finished = false;

    router.start ();
    var thread = start_worker (router.pipe (out receiver), 1000);
    unowned Thread<int> main_thread = Thread.self<int> ();

    receiver.message.connect ((message) => {
        assert_true (Thread.self<int> () == main_thread);
        assert_cmpint ((int) message, CompareOperator.EQ, next);
        next++;
    });
    receiver.finished.connect ((error) => {
        assert_no_error (error);
        has_finished = true;
        loop.quit ();
    });

    loop.run ();
    assert_true (has_finished);
    assert_cmpint (next, CompareOperator.EQ, thread.join ());
    assert_cmpint (next, CompareOperator.EQ, 1000);
    assert_true (receiver.state == GMsg.ReceiverState.FINISHED);
    assert_true (receiver.n_received == 1000);

    end ((owned) router, (owned) receiver);
}

void
test_properties () throws GLib.Error
{
    var context = new MainContext ();
    var own = new GMsg.Router (context);
    var router = new GMsg.Router ();
    GMsg.Receiver receiver;
    string[] notified = {};

    assert_true (own.context == context);
    assert_true (router.context == MainContext.default ());
    assert_true (router.priority == 130 && router.budget == 4000 && router.max_latency == 16000);
    assert_true (router.max_backlog_size == 256 * 1024 * 1024);
    assert_true (!router.auto_close);
    router.priority = 100;
    router.budget = 0;
    router.max_latency = 1;
    assert_true (router.priority == 100 && router.budget == 0 && router.max_latency == 1);

    router.notify.connect ((pspec) => notified += pspec.name);
    assert_false (router.running);
    router.start ();
    var sender = router.pipe (out receiver);
    assert_true (router.running && router.n_pipes == 1);
    assert_cmpstr (string.joinv (" ", notified), CompareOperator.EQ, "running n-pipes");

    assert_true (sender.id == 1 && receiver.id == 1);
    assert_true (sender.state == GMsg.SenderState.INITIAL);
    sender.start ();
    assert_true (sender.state == GMsg.SenderState.OPEN);
    sender.stop ();
    assert_true (sender.state == GMsg.SenderState.STOPPED);
    try {
        sender.send_full (1, 0, sender.get_cancellable ());
        assert_not_reached ();
    } catch (GMsg.Error.STOPPED error) {
    }

    assert_false (receiver.pull_mode);
    receiver.pull_mode = true;
    assert_true (receiver.pull_mode);
    assert_true (receiver.n_received == 0 && receiver.n_dropped == 0);

    end ((owned) router, (owned) receiver);
}

void
test_values () throws GLib.Error
{
    var router = new GMsg.Router ();
    GMsg.Receiver receiver;
    string text = "";

    router.start ();
    var sender = router.pipe (out receiver);
    receiver.message.connect ((message) => text += message.print (true) + ";");

    sender.start ();
    sender.send ("text");
    sender.send (2.5);
    sender.send (new Variant ("(su)", "row", 7));
    sender.send (new string[] {"a", "b"});
    sender.stop ();

    route_to_end (router, receiver);
    assert_cmpstr (text, CompareOperator.EQ, "'text';2.5;('row', uint32 7);['a', 'b'];");

    end ((owned) router, (owned) receiver);
}

Variant
make_row (int i)
{
    return new Variant ("(is)", i, "row %d".printf (i));
}

void
assert_rows (GenericArray<Variant> rows, int n)
{
    assert_cmpint ((int) rows.length, CompareOperator.EQ, n);
    for (int i = 0; i < n; i++)
        assert_cmpstr (rows[i].print (true), CompareOperator.EQ, make_row (i).print (true));
}

/* The worker of the tests in C, whose messages are those of make_row(). */
Subprocess
spawn_worker (GMsg.Sender sender, string work, int n) throws GLib.Error
{
    var launcher = new SubprocessLauncher (SubprocessFlags.STDIN_PIPE);

    return sender.spawn (launcher, {Environment.get_variable ("GMSG_TEST_WORKER"), work, n.to_string ()});
}

void
test_kept_from_thread () throws GLib.Error
{
    var router = new GMsg.Router ();
    var kept = new GenericArray<Variant> ();
    GMsg.Receiver receiver;

    router.start ();
    var sender = router.pipe (out receiver);
    receiver.message.connect ((message) => kept.add (message));

    var thread = new Thread<bool> ("worker", () => {
        try {
            sender.start ();
            for (int i = 0; i < 300; i++)
                sender.send (make_row (i));
            sender.stop ();
        } catch (GMsg.Error e) {
            error ("the worker failed: %s", e.message);
        }

        return true;
    });

    route_to_end (router, receiver);
    thread.join ();
    sender = null;
    end ((owned) router, (owned) receiver);
    assert_rows (kept, 300);
}

void
test_kept_from_process () throws GLib.Error
{
    var router = new GMsg.Router ();
    var kept = new GenericArray<Variant> ();
    GMsg.Receiver receiver;

    router.start ();
    var process = spawn_worker (router.pipe (out receiver), "send-rows", 300);
    receiver.message.connect ((message) => kept.add (message));
    route_to_end (router, receiver);
    process = null;
    end ((owned) router, (owned) receiver);
    assert_rows (kept, 300);
}

async GenericArray<Variant>
pull_all (GMsg.Receiver receiver) throws GLib.Error
{
    var kept = new GenericArray<Variant> ();
    Variant? message;

    while ((message = yield receiver.next_async ()) != null)
        kept.add (message);

    return kept;
}

void
test_kept_pulled () throws GLib.Error
{
    var loop = new MainLoop ();
    var router = new GMsg.Router ();
    GMsg.Receiver receiver;
    GenericArray<Variant>? kept = null;

    router.start ();
    var process = spawn_worker (router.pipe_bounded (8, GMsg.Overflow.BLOCK, out receiver), "send-rows", 300);
    pull_all.begin (receiver, (object, result) => {
        try {
            kept = pull_all.end (result);
        } catch (GLib.Error e) {
            error ("%s", e.message);
        }
        loop.quit ();
    });
    loop.run ();
    process = null;
    end ((owned) router, (owned) receiver);
    assert_rows (kept, 300);
}

void
test_kept_error () throws GLib.Error
{
    var router = new GMsg.Router ();
    GMsg.Receiver receiver;
    GLib.Error? kept = null;

    router.start ();
    spawn_worker (router.pipe (out receiver), "exit", 0);
    receiver.finished.connect ((error) => kept = error);
    route_to_end (router, receiver);
    end ((owned) router, (owned) receiver);
    assert_true (kept is GMsg.Error.PEER_LOST);
    assert_true (kept.message.contains ("pipe #1"));
}

/* What the worker fails with is what the receiver finishes with; a sender that is dropped is
 * lost. */
void
test_failed () throws GLib.Error
{
    var router = new GMsg.Router ();
    GMsg.Receiver receiver;
    GLib.Error? kept = null;

    router.start ();
    var sender = router.pipe (out receiver);
    receiver.finished.connect ((error) => kept = error);
    sender.start ();
    sender.fail (new IOError.NO_SPACE ("disk full"));
    route_to_end (router, receiver);
    assert_true (kept is IOError.NO_SPACE);
    assert_true (receiver.dup_error () is IOError.NO_SPACE);
    assert_cmpstr (kept.message, CompareOperator.EQ, "disk full");
    try {
        sender.fail (new IOError.FAILED ("again"));
        assert_not_reached ();
    } catch (GMsg.Error e) {
        assert_true (e is GMsg.Error.STOPPED);
    }
    router.close_pipe (receiver);

    sender = router.pipe (out receiver);
    receiver.finished.connect ((error) => kept = error);
    sender.start ();
    sender = null;
    route_to_end (router, receiver);
    end ((owned) router, (owned) receiver);
    assert_true (kept is GMsg.Error.PEER_LOST);
}

void
test_errors () throws GLib.Error
{
    var router = new GMsg.Router ();
    GMsg.Receiver receiver;
    GMsg.Receiver? none = null;

    try {
        router.stop ();
        assert_not_reached ();
    } catch (GMsg.Error.NOT_RUNNING e) {
        assert_true (e.matches (GMsg.Error.quark (), GMsg.Error.NOT_RUNNING));
    }

    router.start ();
    try {
        router.start ();
        assert_not_reached ();
    } catch (GMsg.Error.ALREADY_STARTED e) {
    }

    try {
        router.pipe_bounded (0, GMsg.Overflow.BLOCK, out none);
        assert_not_reached ();
    } catch (GMsg.Error.INVALID_ARGUMENT e) {
        assert_true (none == null);
    }

    var sender = router.pipe (out receiver);
    try {
        sender.send ("too early");
        assert_not_reached ();
    } catch (GMsg.Error.NOT_STARTED e) {
    }

    sender.start ();
    sender.stop ();
    try {
        sender.send ("too late");
        assert_not_reached ();
    } catch (GMsg.Error.STOPPED e) {
    }

    try {
        router.route_until (0, () => false);
        assert_not_reached ();
    } catch (GMsg.Error.TIMED_OUT e) {
    }

    router.close_pipe (receiver);
    try {
        router.close_pipe (receiver);
        assert_not_reached ();
    } catch (GMsg.Error.UNKNOWN_RECEIVER e) {
    }

    router.stop ();
}

void
test_wrong_thread () throws GLib.Error
{
    var router = new GMsg.Router ();

    router.start ();

    var thread = new Thread<bool> ("elsewhere", () => {
        GMsg.Receiver receiver;

        try {
            router.pipe (out receiver);
        } catch (GMsg.Error.WRONG_THREAD e) {
            return true;
        } catch (GMsg.Error e) {
            error ("another error was expected: %s", e.message);
        }

        return false;
    });

    assert_true (thread.join ());
    assert_true (router.n_pipes == 0);
    router.stop ();
}

void
test_overflow_block () throws GLib.Error
{
    var router = new GMsg.Router ();
    GMsg.Receiver receiver;
    int n_received = 0;

    router.start ();
    var sender = router.pipe_bounded (2, GMsg.Overflow.BLOCK, out receiver);
    receiver.message.connect (() => n_received++);

    /* In the router's own thread it can't wait. */
    sender.start ();
    sender.send (1);
    sender.send (2);
    try {
        sender.send (3);
        assert_not_reached ();
    } catch (GMsg.Error.FULL e) {
    }

    /* The pipe is full: what is sent now must wait for room. */
    var thread = new Thread<bool> ("worker", () => {
        try {
            for (int i = 3; i <= 100; i++)
                sender.send (i);
            sender.stop ();
        } catch (GMsg.Error e) {
            error ("the worker failed: %s", e.message);
        }

        return true;
    });

    route_to_end (router, receiver);
    thread.join ();
    assert_cmpint (n_received, CompareOperator.EQ, 100);

    end ((owned) router, (owned) receiver);
}

void
test_overflow_fail () throws GLib.Error
{
    var router = new GMsg.Router ();
    GMsg.Receiver receiver;
    int n_received = 0;
    int n_accepted = 0;

    router.start ();
    var sender = router.pipe_bounded (3, GMsg.Overflow.FAIL, out receiver);
    receiver.message.connect (() => n_received++);

    sender.start ();
    try {
        while (n_accepted < 10) {
            sender.send (n_accepted);
            n_accepted++;
        }
    } catch (GMsg.Error.FULL e) {
    }
    assert_cmpint (n_accepted, CompareOperator.EQ, 3);

    router.route_until (DEADLINE, () => n_received == 3);
    sender.send ("there is room again");
    sender.stop ();
    route_to_end (router, receiver);
    assert_cmpint (n_received, CompareOperator.EQ, 4);

    end ((owned) router, (owned) receiver);
}

void
test_overflow_drop_oldest () throws GLib.Error
{
    var router = new GMsg.Router ();
    GMsg.Receiver receiver;
    string text = "";

    router.start ();
    var sender = router.pipe_bounded (1, GMsg.Overflow.DROP_OLDEST, out receiver);
    receiver.message.connect ((message) => text += message.get_string ());

    sender.start ();
    sender.send ("old");
    sender.send ("older than new");
    sender.send ("new");
    sender.stop ();

    route_to_end (router, receiver);
    assert_cmpstr (text, CompareOperator.EQ, "new");
    assert_true (receiver.n_dropped == 2 && receiver.n_received == 1);

    end ((owned) router, (owned) receiver);
}

async int
sum_up (GMsg.Receiver receiver) throws GLib.Error
{
    Variant? message;
    int sum = 0;

    while ((message = yield receiver.next_async ()) != null)
        sum += message.get_int32 ();

    return sum;
}

void
test_next () throws GLib.Error
{
    var loop = new MainLoop ();
    var router = new GMsg.Router ();
    GMsg.Receiver receiver;
    AsyncResult? result = null;

    router.start ();
    var thread = start_worker (router.pipe_bounded (2, GMsg.Overflow.BLOCK, out receiver), 100);
    sum_up.begin (receiver, (object, r) => {
        result = r;
        loop.quit ();
    });

    loop.run ();
    assert_cmpint (sum_up.end (result), CompareOperator.EQ, 4950);
    assert_cmpint (thread.join (), CompareOperator.EQ, 100);
    assert_true (receiver.pull_mode);

    /* It holds what sum_up() held. */
    result = null;
    end ((owned) router, (owned) receiver);
}

async void
shut_down (GMsg.Router router, MainLoop loop) throws GLib.Error
{
    assert_true (yield router.shutdown_async (-1));
    loop.quit ();
}

void
test_shutdown () throws GLib.Error
{
    for (int form = 0; form < 2; form++) {
        var router = new GMsg.Router ();
        GMsg.Receiver receiver;
        int n_received = 0, n_finished = 0;

        router.start ();
        var sender = router.pipe (out receiver);
        receiver.message.connect ((message) => n_received++);
        receiver.finished.connect ((error) => n_finished++);
        sender.start ();
        sender.send ("busy");
        var cancellable = sender.get_cancellable ();
        cancellable.cancelled.connect (() => {
            try {
                sender.stop ();
            } catch (GMsg.Error e) {
                error ("%s", e.message);
            }
        });

        if (form == 0) {
            assert_true (router.shutdown (DEADLINE));
        } else {
            var loop = new MainLoop ();

            shut_down.begin (router, loop);
            loop.run ();
        }
        assert_false (router.running);
        assert_true (n_received == 1 && n_finished == 1);
        try {
            router.shutdown (0);
            assert_not_reached ();
        } catch (GMsg.Error.NOT_RUNNING e) {
        }
    }
}

async int
sum_up_batches (GMsg.Receiver receiver, uint max) throws GLib.Error
{
    int sum = 0;

    while (true) {
        Variant[] messages = yield receiver.next_many_async (max);

        if (messages.length == 0)
            return sum;
        assert_true (max == 0 || messages.length <= max);
        foreach (unowned Variant message in messages)
            sum += message.get_int32 ();
    }
}

void
test_batches () throws GLib.Error
{
    foreach (uint max in new uint[] { 0, 7 }) {
        var loop = new MainLoop ();
        var router = new GMsg.Router ();
        GMsg.Receiver receiver;
        AsyncResult? result = null;

        router.start ();
        var thread = start_worker (router.pipe_bounded (20, GMsg.Overflow.BLOCK, out receiver), 100);
        sum_up_batches.begin (receiver, max, (object, r) => {
            result = r;
            loop.quit ();
        });

        loop.run ();
        assert_cmpint (sum_up_batches.end (result), CompareOperator.EQ, 4950);
        assert_cmpint (thread.join (), CompareOperator.EQ, 100);
        result = null;
        end ((owned) router, (owned) receiver);
    }
}

void
test_take () throws GLib.Error
{
    var router = new GMsg.Router ();
    GMsg.Receiver receiver;
    int n_ready = 0;

    router.start ();
    GMsg.Sender sender = router.pipe (out receiver);
    sender.start ();
    receiver.pull_mode = true;
    ulong handler = receiver.ready.connect (() => { n_ready++; });
    for (int i = 0; i < 5; i++)
        sender.send (new Variant.int32 (i));
    while (n_ready == 0)
        router.context.iteration (true);
    assert_true (receiver.n_waiting == 5);

    Variant[] messages = receiver.take (3);
    assert_cmpint (messages.length, CompareOperator.EQ, 3);
    assert_cmpint (messages[2].get_int32 (), CompareOperator.EQ, 2);
    messages = receiver.take (0);
    assert_cmpint (messages.length, CompareOperator.EQ, 2);
    assert_cmpint (messages[1].get_int32 (), CompareOperator.EQ, 4);
    assert_cmpint (receiver.take (0).length, CompareOperator.EQ, 0);

    receiver.disconnect (handler);
    router.close_pipe (receiver);
    try {
        receiver.take (0);
        assert_not_reached ();
    } catch (GMsg.Error e) {
        assert_true (e is GMsg.Error.CLOSED);
    }
    sender.stop ();
    router.stop ();
}

/* What is expected of next_async() where it fails, in turn. */
async void
fail_to_take (GMsg.Router router, GMsg.Sender sender, GMsg.Receiver receiver) throws GLib.Error
{
    var cancellable = new Cancellable ();

    cancellable.cancel ();
    try {
        yield receiver.next_async (cancellable);
        assert_not_reached ();
    } catch (IOError.CANCELLED e) {
    }

    var waiting = new Cancellable ();
    SourceFunc resume = fail_to_take.callback;
    bool was_cancelled = false;
    receiver.next_async.begin (waiting, (object, result) => {
        try {
            receiver.next_async.end (result);
        } catch (GLib.Error e) {
            was_cancelled = e is IOError.CANCELLED;
        }
        resume ();
    });
    try {
        yield receiver.next_async ();
        assert_not_reached ();
    } catch (GMsg.Error.PENDING e) {
    }
    waiting.cancel ();
    yield;
    assert_true (was_cancelled);

    sender.start ();
    sender.send ("not lost");
    var message = yield receiver.next_async ();
    assert_cmpstr (message.get_string (), CompareOperator.EQ, "not lost");

    router.close_pipe (receiver);
    try {
        yield receiver.next_async ();
        assert_not_reached ();
    } catch (GMsg.Error.CLOSED e) {
    }
}

void
test_next_fails () throws GLib.Error
{
    var loop = new MainLoop ();
    var router = new GMsg.Router ();
    GMsg.Receiver receiver;
    AsyncResult? result = null;

    router.start ();
    var sender = router.pipe (out receiver);
    fail_to_take.begin (router, sender, receiver, (object, r) => {
        result = r;
        loop.quit ();
    });

    loop.run ();
    fail_to_take.end (result);
    router.stop ();
}

void
test_cancel () throws GLib.Error
{
    var router = new GMsg.Router ();
    GMsg.Receiver receiver;
    string last = "";

    router.start ();
    var sender = router.pipe_bounded (8, GMsg.Overflow.BLOCK, out receiver);
    receiver.message.connect ((emitter, message) => {
        last = message.get_string ();
        emitter.cancel ();
    });

    var thread = new Thread<bool> ("worker", () => {
        var cancellable = sender.get_cancellable ();

        try {
            sender.start ();
            while (!cancellable.is_cancelled ())
                sender.send ("busy");
            sender.send ("tidied up");
            sender.stop ();
        } catch (GMsg.Error e) {
            error ("the worker failed: %s", e.message);
        }

        return true;
    });

    route_to_end (router, receiver);
    thread.join ();
    assert_cmpstr (last, CompareOperator.EQ, "tidied up");

    end ((owned) router, (owned) receiver);
}

int
main (string[] args)
{
    Test.init (ref args);

    add_test ("/vala/event-loop", test_event_loop);
    add_test ("/vala/properties", test_properties);
    add_test ("/vala/values", test_values);
    add_test ("/vala/kept-from-thread", test_kept_from_thread);
    add_test ("/vala/kept-from-process", test_kept_from_process);
    add_test ("/vala/kept-pulled", test_kept_pulled);
    add_test ("/vala/kept-error", test_kept_error);
    add_test ("/vala/p09/failed", test_failed);
    add_test ("/vala/errors", test_errors);
    add_test ("/vala/wrong-thread", test_wrong_thread);
    add_test ("/vala/overflow-block", test_overflow_block);
    add_test ("/vala/overflow-fail", test_overflow_fail);
    add_test ("/vala/overflow-drop-oldest", test_overflow_drop_oldest);
    add_test ("/vala/next", test_next);
    add_test ("/vala/batches", test_batches);
    add_test ("/vala/take", test_take);
    add_test ("/vala/next-fails", test_next_fails);
    add_test ("/vala/p27/shutdown", test_shutdown);
    add_test ("/vala/cancel", test_cancel);

    return Test.run ();
}
