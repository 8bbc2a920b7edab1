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

void
assert_error (int code, Body body)
{
    try {
        body ();
    } catch (GLib.Error e) {
        assert_true (e.matches (GMsg.Error.quark (), code));
        return;
    }
    assert_not_reached ();
}

Variant
make_row (int i)
{
    return new Variant ("(is)", i, "row %d".printf (i));
}

/* Starts a thread that owns its sender, and sends rows. */
Thread<int>
start_worker (owned GMsg.Sender sender, int n_messages)
{
    return new Thread<int> ("worker", () => {
        int n_sent = 0;

        try {
            sender.start ();
            for (; n_sent < n_messages; n_sent++)
                sender.send (make_row (n_sent));
            sender.stop ();
        } catch (GMsg.Error e) {
            error ("the worker failed: %s", e.message);
        }

        return n_sent;
    });
}

/* Starts the worker of the C tests, which sends the same rows. */
Subprocess
spawn_worker (GMsg.Sender sender, string work, int n) throws GLib.Error
{
    var launcher = new SubprocessLauncher (SubprocessFlags.STDIN_PIPE);

    return sender.spawn (launcher, {Environment.get_variable ("GMSG_TEST_WORKER"), work, n.to_string ()});
}

void
assert_finalized (owned Object object)
{
    bool finalized = false;

    object.weak_ref (() => finalized = true);
    object = null;
    assert_true (finalized);
}

/* A lambda in the caller would hold the receiver together with the other variables that it
 * captures there, and so would each handler. */
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
        assert_true (message.equal (make_row (next)));
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

async void
pull (GMsg.Receiver receiver, GenericArray<Variant> kept) throws GLib.Error
{
    Variant? message;

    while ((message = yield receiver.next_async ()) != null)
        kept.add (message);
}

async void
pull_batches (GMsg.Receiver receiver, GenericArray<Variant> kept) throws GLib.Error
{
    while (true) {
        Variant[] messages = yield receiver.next_many_async (7);

        if (messages.length == 0)
            return;
        assert_true (messages.length <= 7);
        foreach (unowned Variant message in messages)
            kept.add (message);
    }
}

enum Way { SIGNAL, NEXT, BATCHES }

/* Keeps the messages of a worker, and compares them after the end of pipe and router. */
void
test_kept (Way way, bool from_process) throws GLib.Error
{
    var loop = new MainLoop ();
    var router = new GMsg.Router ();
    var kept = new GenericArray<Variant> ();
    GMsg.Receiver receiver;
    AsyncResult? result = null;
    Thread<int>? thread = null;

    router.start ();
    var sender = router.pipe_bounded (20, GMsg.Overflow.BLOCK, out receiver);
    if (from_process)
        spawn_worker (sender, "send-rows", 300);
    else
        thread = start_worker (sender, 300);
    sender = null;

    if (way == Way.SIGNAL) {
        receiver.message.connect ((message) => kept.add (message));
        route_to_end (router, receiver);
    } else if (way == Way.NEXT) {
        pull.begin (receiver, kept, (object, r) => {
            result = r;
            loop.quit ();
        });
        loop.run ();
        pull.end (result);
    } else {
        pull_batches.begin (receiver, kept, (object, r) => {
            result = r;
            loop.quit ();
        });
        loop.run ();
        pull_batches.end (result);
    }
    if (thread != null)
        assert_cmpint (thread.join (), CompareOperator.EQ, 300);
    assert_true (receiver.pull_mode == (way != Way.SIGNAL));

    /* The result holds the coroutine, and with it the receiver. */
    result = null;
    end ((owned) router, (owned) receiver);
    assert_cmpint ((int) kept.length, CompareOperator.EQ, 300);
    for (int i = 0; i < 300; i++)
        assert_true (kept[i].equal (make_row (i)));
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

    try {
        router.stop ();
        assert_not_reached ();
    } catch (GMsg.Error.NOT_RUNNING e) {
        assert_true (e.matches (GMsg.Error.quark (), GMsg.Error.NOT_RUNNING));
    }

    router.start ();
    assert_error (GMsg.Error.ALREADY_STARTED, () => router.start ());
    assert_error (GMsg.Error.TIMED_OUT, () => router.route_until (0, () => false));
    assert_error (GMsg.Error.INVALID_ARGUMENT, () => {
        GMsg.Receiver none;

        router.pipe_bounded (0, GMsg.Overflow.BLOCK, out none);
    });

    var sender = router.pipe_bounded (1, GMsg.Overflow.FAIL, out receiver);
    assert_error (GMsg.Error.NOT_STARTED, () => sender.send ("too early"));
    sender.start ();
    sender.send ("fills the pipe");
    assert_error (GMsg.Error.FULL, () => sender.send ("too much"));
    assert_true (receiver.take (0).length == 1);
    sender.stop ();
    assert_error (GMsg.Error.STOPPED, () => sender.send_full ("too late", 0, sender.get_cancellable ()));
    assert_error (GMsg.Error.STOPPED, () => sender.fail (new IOError.FAILED ("too late")));

    router.close_pipe (receiver);
    assert_error (GMsg.Error.CLOSED, () => receiver.take (0));
    assert_error (GMsg.Error.UNKNOWN_RECEIVER, () => router.close_pipe (receiver));
    router.stop ();
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
    sender.stop ();
    router.stop ();
}

/* Makes next_async() fail in each way. */
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

int
main (string[] args)
{
    Test.init (ref args);

    add_test ("/vala/event-loop", test_event_loop);
    add_test ("/vala/properties", test_properties);
    add_test ("/vala/values", test_values);
    add_test ("/vala/kept/signal-from-thread", () => test_kept (Way.SIGNAL, false));
    add_test ("/vala/kept/signal-from-process", () => test_kept (Way.SIGNAL, true));
    add_test ("/vala/kept/next-from-thread", () => test_kept (Way.NEXT, false));
    add_test ("/vala/kept/next-from-process", () => test_kept (Way.NEXT, true));
    add_test ("/vala/kept/batches-from-thread", () => test_kept (Way.BATCHES, false));
    add_test ("/vala/kept/error", test_kept_error);
    add_test ("/vala/p09/failed", test_failed);
    add_test ("/vala/errors", test_errors);
    add_test ("/vala/take", test_take);
    add_test ("/vala/next-fails", test_next_fails);
    add_test ("/vala/p27/shutdown", test_shutdown);

    return Test.run ();
}
