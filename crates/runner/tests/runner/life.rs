//! Life and death of environments.

use super::*;

const PID: &str = "import os\ndef handler(event, context):\n  return os.getpid()\n";

#[tokio::test]
async fn exits_and_signals() {
    let bench = Bench::new().await;
    let source = "import os, sys\ndef handler(event, context):\n  exec(event)\n  return 'ok'\n";
    let function = bench.python(source);
    for (statement, words) in [
        ("os._exit(0)", "Runtime exited without providing a reason"),
        ("sys.exit(0)", "Runtime exited without providing a reason"),
        ("sys.exit(1)", "Runtime exited with error: exit status 1"),
        ("os._exit(7)", "Runtime exited with error: exit status 7"),
        ("os.kill(os.getpid(), 9)", "Runtime exited with error: signal: killed"),
        ("os.kill(os.getpid(), 15)", "Runtime exited with error: signal: terminated"),
    ] {
        let event = serde_json::to_string(statement).unwrap();
        let invocation = bench.invocation(&event);
        let message = format!("RequestId: {} Error: {words}", invocation.request_id);
        let document_wanted =
            format!(r#"{{"errorType":"Runtime.ExitError","errorMessage":"{message}"}}"#);
        let finished = bench.send(&function, invocation).await;
        assert_eq!(document(&finished), document_wanted, "{statement}");
        assert!(tail(&finished).ends_with("\tStatus: error\tError Type: Runtime.ExitError\n"));
    }
    assert_eq!(response(&bench.invoke(&function, "\"pass\"").await), "\"ok\"");
}

#[tokio::test]
async fn a_timeout_kills_who_ignores_the_warning_and_its_children() {
    let bench = Bench::new().await;
    let source = "import os, signal, subprocess, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ndef handler(event, context):\n  child = subprocess.Popen(['sleep', '1000'])\n  print('pids', os.getpid(), child.pid, flush=True)\n  while True:\n    time.sleep(1)\n";
    let mut function = bench.function("python3.11", "app.handler", &[("app.py", source)]);
    function.timeout = Duration::from_secs(1);
    let invocation = bench.invocation("{}");
    let id = invocation.request_id.clone();
    let finished = bench.send(&Arc::new(function), invocation).await;
    let wanted = format!(
        r#"{{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: {id} Error: Task timed out after 1.00 seconds"}}"#
    );
    assert_eq!(document(&finished), wanted);
    let text = tail(&finished);
    assert!(
        text.contains("\tDuration: 1000.00 ms\t") && text.ends_with("\tStatus: timeout\n"),
        "{text}"
    );
    let line = text.lines().find(|l| l.starts_with("pids ")).unwrap().to_owned();
    for pid in line.split(' ').skip(1) {
        bench.until("the group is gone", || (!runs(pid)).then_some(())).await;
    }
}

#[tokio::test]
async fn endless_printing_neither_blocks_nor_grows() {
    let bench = Bench::new().await;
    let source =
        "import os\ndef handler(event, context):\n  while True:\n    os.write(1, b'y' * 100_000)\n";
    let mut function = bench.function("python3.11", "app.handler", &[("app.py", source)]);
    function.timeout = Duration::from_secs(1);
    let finished = bench.invoke(&Arc::new(function), "{}").await;
    assert_eq!(error(&finished).0, "Sandbox.Timedout");
    assert_eq!(finished.log_tail.len(), 4096);
    let lines = bench.lines.application();
    assert!(lines.iter().all(|l| l.len() <= 256 * 1024), "long lines are split");
    assert!(lines.len() > 2, "they are handed on as they come");
}

#[tokio::test]
async fn the_tail_is_cut_inside_a_character() {
    let bench = Bench::new().await;
    let function = bench.python("def handler(event, context):\n  print('ü' * 2500)\n");
    let finished = bench.invoke(&function, "{}").await;
    assert_eq!(finished.log_tail.len(), 4096);
    assert!(tail(&finished).ends_with("\t\n"));
}

#[tokio::test]
async fn an_answer_before_death_counts() {
    let bench = Bench::new().await;
    let source = "import os, sys, threading, urllib.request\ndef handler(event, context):\n  base = 'http://' + os.environ['AWS_LAMBDA_RUNTIME_API'] + '/2018-06-01/runtime/invocation/' + context.aws_request_id\n  urllib.request.urlopen(base + '/response', data=b'early').read()\n  try:\n    urllib.request.urlopen(base + '/response', data=b'late')\n  except urllib.error.HTTPError as e:\n    print('second', e.code, e.read().decode())\n  os._exit(3)\n";
    let function = bench.python(source);
    let finished = bench.invoke(&function, "{}").await;
    assert_eq!(response(&finished), "early");
    let words = "second 403 {\"errorMessage\":\"State transition from RuntimeResponseSentState to InvocationResponse failed for runtime. Error: State transition is not allowed\",\"errorType\":\"InvalidStateTransition\"}";
    assert!(bench.lines.application().contains(&words.to_owned()), "{:?}", bench.lines.all());
    assert_eq!(response(&bench.invoke(&function, "{}").await), "early", "by a new process");
}

#[tokio::test]
async fn a_slow_start_is_tried_again_within_the_invocation() {
    let bench = Bench::new().await;
    let source = "import os, pathlib\nmark = pathlib.Path(os.environ['MARK'])\nif not mark.exists():\n  mark.write_text('')\n  raise OSError('first time')\ndef handler(event, context):\n  return 'second'\n";
    let mut function = bench.function("python3.11", "app.handler", &[("app.py", source)]);
    let mark = bench.path().join("mark").to_str().unwrap().to_owned();
    function.environment = [("MARK".to_owned(), mark)].into();
    let finished = bench.invoke(&Arc::new(function), "{}").await;
    assert_eq!(response(&finished), "\"second\"");
    let text = tail(&finished);
    assert!(
        text.contains("Phase: init\tStatus: error") && !text.contains("Phase: invoke"),
        "{text}"
    );
    let report = text.lines().last().unwrap();
    assert!(report.ends_with(" MB\t"), "a second try has no Init Duration: {report}");
    assert!(finished.duration > Duration::from_millis(5), "it counts: {:?}", finished.duration);
}

#[tokio::test]
async fn a_start_that_dies_is_an_exit_of_the_waiting_invocation() {
    let bench = Bench::new().await;
    let function = bench.python("import os\nprint('here')\nos._exit(5)\n");
    let invocation = bench.invocation("{}");
    let id = invocation.request_id.clone();
    let finished = bench.send(&function, invocation).await;
    let words = format!("RequestId: {id} Error: Runtime exited with error: exit status 5");
    assert_eq!(error(&finished), ("Runtime.ExitError".into(), words));
    assert_eq!(tail(&finished).matches("\nhere\n").count(), 2, "{}", tail(&finished));
}

#[tokio::test]
async fn a_start_that_takes_too_long() {
    let bench = Bench::with(|s| s.init_max = Duration::from_millis(300)).await;
    let mut function = bench.function(
        "python3.11",
        "app.handler",
        &[("app.py", "import time\nprint('starting')\ntime.sleep(1000)\n")],
    );
    function.timeout = Duration::from_secs(1);
    let finished = bench.invoke(&Arc::new(function), "{}").await;
    let (kind, message) = error(&finished);
    assert_eq!(kind, "Sandbox.Timedout");
    assert!(message.ends_with(" Error: Task timed out after 1.00 seconds"), "{message}");
    let text = tail(&finished);
    for words in [
        "INIT_REPORT Init Duration: 300.00 ms\tPhase: init\tStatus: timeout\n",
        "INIT_REPORT Init Duration: 1000.00 ms\tPhase: invoke\tStatus: timeout\n",
        "\tDuration: 1000.00 ms\tBilled Duration: 1000 ms\t",
    ] {
        assert!(text.contains(words), "{text}");
    }
}

#[tokio::test]
async fn a_second_stop_waits_for_no_grace() {
    let bench = Bench::new().await;
    let source = "import os, signal, time\nsignal.signal(signal.SIGTERM, lambda *_: print('asked', flush=True))\ndef handler(event, context):\n  print('running', flush=True)\n  while True:\n    time.sleep(1)\n";
    let function = bench.python(source);
    let running = bench.invoke(&function, "{}");
    let again = async {
        bench.said("asked").await;
        bench.runner.stop().await;
    };
    let stopping = async {
        bench.said("running").await;
        tokio::join!(bench.runner.stop(), again);
    };
    let (finished, ()) = tokio::join!(running, stopping);
    assert!(matches!(finished.outcome, Outcome::Stopped));
}

#[tokio::test]
async fn what_an_earlier_runner_left_is_reaped_at_start() {
    let bench = Bench::new().await;
    let pid = response(&bench.invoke(&bench.python(PID), "{}").await);
    let run = bench.path().join("data/run");
    assert!(run.join("groups").join(&pid).exists(), "noted");
    let settings = Settings::new(String::new(), run, bench.path().join("start"));
    let logs: Arc<dyn Logs> = Arc::new(Lines::default());
    let later = Runner::start(settings, Clock::system(Duration::ZERO), logs).await.unwrap();
    assert!(!runs(&pid));
    later.stop().await;
}

#[tokio::test]
async fn threads_and_forks_may_print() {
    let bench = Bench::new().await;
    let source = "import os, sys, threading\ndef say(n):\n  for i in range(200):\n    sys.stdout.write('x' * 2000 + str(n) + '\\n')\ndef handler(event, context):\n  ts = [threading.Thread(target=say, args=(n,)) for n in range(4)]\n  for t in ts: t.start()\n  child = os.fork()\n  if child == 0:\n    say(9)\n    os.closerange(3, 100)\n    print('from below')\n    os._exit(0)\n  os.waitpid(child, 0)\n  for t in ts: t.join()\n";
    let function = bench.python(source);
    assert_eq!(response(&bench.invoke(&function, "{}").await), "null");
    let mut lines = bench.lines.application();
    let last = lines.iter().position(|l| l == "from below").expect("through the ordinary pipe");
    lines.remove(last);
    assert_eq!(lines.len(), 1000);
    assert!(lines.iter().all(|l| l.len() == 2001 && l.starts_with("xxx")), "whole lines");
}

#[tokio::test]
async fn the_cap_queues_and_evicts_and_nested_ones_pass() {
    let bench = Bench::with(|s| s.processes_max = 1).await;
    let waiter = "import os, pathlib, time\ndef handler(event, context):\n  print('running', flush=True)\n  while not pathlib.Path(event).exists():\n    time.sleep(0.005)\n  return os.getpid()\n";
    let (slow, other) = (bench.python(waiter), bench.python(PID));
    let mark = bench.path().join("go");
    let event = serde_json::to_string(&mark).unwrap();
    let running = async { bench.invoke(&slow, &event).await };
    let rest = async {
        bench
            .until("it runs", || bench.lines.all().contains(&"running".to_owned()).then_some(()))
            .await;
        let mut nested = bench.invocation("{}");
        nested.nested = true;
        response(&bench.send(&other, nested).await);
        let queued = bench.runner.invoke(Arc::clone(&slow), bench.invocation(&event));
        let opener = async {
            bench.until("it waits", || (bench.runner.busy() == 2).then_some(())).await;
            fs::write(&mark, "").unwrap();
        };
        tokio::join!(queued, opener).0
    };
    let (first, second) = tokio::join!(running, rest);
    assert_eq!(response(&first), response(&second), "the queued one got the warm process");
    let slow_pid = response(&first);
    response(&bench.invoke(&other, "{}").await);
    bench.until("the idle one made room", || (!runs(&slow_pid)).then_some(())).await;
}

#[tokio::test]
async fn the_queue_is_first_in_first_out() {
    let bench = Bench::with(|s| s.processes_max = 1).await;
    let mark = bench.path().join("go");
    let waiter = format!(
        "import pathlib, time\ndef handler(event, context):\n  print('ran', event, flush=True)\n  while not pathlib.Path({mark:?}).exists():\n    time.sleep(0.005)\n"
    );
    let (one, other) = (bench.python(&waiter), bench.python(&waiter));
    let invoke = |function: &Arc<Function>, event: &'static str, before: usize| {
        let (bench, function) = (&bench, Arc::clone(function));
        async move {
            bench.until("its turn", || (bench.runner.busy() == before).then_some(())).await;
            response(&bench.invoke(&function, event).await)
        }
    };
    let open = async {
        bench.until("all wait", || (bench.runner.busy() == 4).then_some(())).await;
        bench.said("ran 0").await;
        fs::write(&mark, "").unwrap();
    };
    tokio::join!(
        invoke(&one, "0", 0),
        invoke(&other, "1", 1),
        invoke(&one, "2", 2),
        invoke(&other, "3", 3),
        open
    );
    assert_eq!(bench.lines.application(), ["ran 0", "ran 1", "ran 2", "ran 3"]);
}

#[tokio::test]
async fn retired_environments_end() {
    let bench = Bench::new().await;
    let function = bench.python(PID);
    let first = response(&bench.invoke(&function, "{}").await);
    bench.runner.retire(&function.key);
    bench.until("the idle process ends", || (!runs(&first)).then_some(())).await;
    assert_ne!(response(&bench.invoke(&function, "{}").await), first);
}

#[tokio::test]
async fn a_process_that_died_idle_is_replaced() {
    let bench = Bench::new().await;
    let function = bench.python(PID);
    let first = response(&bench.invoke(&function, "{}").await);
    std::process::Command::new("kill").args(["-9", &first]).status().unwrap();
    bench.until("it is dead", || (!runs(&first)).then_some(())).await;
    assert_ne!(response(&bench.invoke(&function, "{}").await), first);
}

#[tokio::test]
async fn a_caller_that_goes_away_harms_nobody() {
    let bench = Bench::new().await;
    let function = bench.python(
        "import os, time\ndef handler(event, context):\n  time.sleep(event)\n  return os.getpid()\n",
    );
    let first = response(&bench.invoke(&function, "0").await);
    let left = tokio::time::timeout(
        Duration::from_millis(20),
        bench.runner.invoke(Arc::clone(&function), bench.invocation("0.2")),
    );
    assert!(left.await.is_err());
    bench.until("it ends by itself", || (bench.runner.busy() == 0).then_some(())).await;
    assert_eq!(response(&bench.invoke(&function, "0").await), first);
}

#[tokio::test]
async fn stop_ends_everything() {
    let bench = Bench::new().await;
    let source = "import os, signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ndef handler(event, context):\n  print('pid', os.getpid(), flush=True)\n  time.sleep(1000)\n";
    let (idle, busy) = (bench.python(PID), bench.python(source));
    let idle_pid = response(&bench.invoke(&idle, "{}").await);
    let running = bench.invoke(&busy, "{}");
    let stopping = async {
        let busy_pid = bench
            .until("it runs", || {
                let lines = bench.lines.application();
                lines.iter().find_map(|l| l.strip_prefix("pid ").map(str::to_owned))
            })
            .await;
        tokio::time::timeout(PATIENCE, bench.runner.stop()).await.unwrap();
        busy_pid
    };
    let (finished, busy_pid) = tokio::join!(running, stopping);
    assert!(matches!(finished.outcome, Outcome::Stopped), "{finished:?}");
    assert!(!runs(&idle_pid) && !runs(&busy_pid));
    assert_eq!(fs::read_dir(bench.path().join("data/run/groups")).unwrap().count(), 0);
    assert!(matches!(bench.invoke(&idle, "{}").await.outcome, Outcome::Stopped));
}
