// Proves that Alibaba Cloud's SDK for Node.js walks all twelve operations unmodified. It sends everything in the form
// of a POST, signature and all, and deletes by GET; a body with a `Code` is an error to it, whatever the status.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import Fnf from "@alicloud/fnf-2019-03-15";
import { startServer, waitFor } from "./harness.mjs";

const CONFIG = `
[fc.functions.echo]
replies = [{ result = {} }]
`;
const GREET = `version: v1
type: flow
steps:
  - type: pass
    name: greet
    outputMappings: [{target: hello, source: $input.who}]
`;
const WAIT = `version: v1
type: flow
steps:
  - {type: wait, name: pause, duration: 600}
`;
const CALLBACK = `version: v1
type: flow
steps:
  - type: task
    name: ask
    resourceArn: acs:fc:::functions/echo
    pattern: waitForCallback
    inputMappings: [{target: token, source: $context.task.token}]
`;
const EXECUTION = [
  "FlowDefinition",
  "FlowName",
  "Input",
  "Name",
  "Output",
  "RequestId",
  "StartedTime",
  "Status",
  "StoppedTime",
];

let server;
let fnf;

function client(more = {}) {
  return new Fnf({ accessKeyId: "test", accessKeySecret: "test", endpoint: server.endpoint, ...more });
}

before(async () => {
  server = await startServer({ config: CONFIG });
  fnf = client();
});
after(() => server?.stop());

const create = (Name, Definition) =>
  fnf.createFlow({ Name, Definition, Description: "from Node", Type: "FDL" });

async function history(FlowName, ExecutionName) {
  const events = [];
  let NextToken;
  do {
    const more = NextToken === undefined ? {} : { NextToken };
    const page = await fnf.getExecutionHistory({ FlowName, ExecutionName, Limit: 3, ...more });
    events.push(...page.Events);
    NextToken = page.NextToken;
  } while (NextToken);
  return events;
}

const eventOf = (flow, execution, type) =>
  waitFor(async () => (await history(flow, execution)).find((event) => event.Type === type), `${type} of ${execution}`);

const endOf = (FlowName, ExecutionName) =>
  waitFor(async () => {
    const found = await fnf.describeExecution({ FlowName, ExecutionName, WaitTimeSeconds: 1 });
    return ["", "Starting", "Running"].includes(found.Status) ? null : found;
  }, `the end of ${ExecutionName}`);

/** Refused with this code; the SDK's own error carries it in three places. */
const refusedWith = (code) => (problem) => {
  assert.equal(problem.code, code, problem.message);
  assert.equal(problem.name, `${code}Error`);
  assert.equal(problem.data.Code, code);
  assert.ok(problem.data.RequestId);
  return true;
};

test("create, describe, update, list, delete", async () => {
  const definition = `${GREET}# ü + & = %20\n`;
  const created = await create("kept", definition);
  assert.deepEqual([created.Name, created.Type, created.Definition], ["kept", "FDL", definition]);
  assert.equal((await fnf.describeFlow({ Name: "kept" })).Id, created.Id);
  const updated = await fnf.updateFlow({ Name: "kept", Description: "new" });
  assert.deepEqual([updated.Description, updated.Definition], ["new", definition]);
  await create("kept-2", GREET);
  const first = await fnf.listFlows({ Limit: 1 });
  assert.deepEqual([first.Flows.length, first.NextToken !== undefined], [1, true]);
  const all = await fnf.listFlows({ Limit: 1000 });
  assert.deepEqual(all.Flows.map((flow) => flow.Name).filter((name) => name.startsWith("kept")), ["kept", "kept-2"]);
  assert.equal("NextToken" in all, false);

  await assert.rejects(create("kept", GREET), refusedWith("FlowAlreadyExists"));
  await assert.rejects(create("1st", GREET), refusedWith("InvalidArgument"));
  await assert.rejects(create("broken", "steps: ["), refusedWith("InvalidArgument"));
  await fnf.deleteFlow({ Name: "kept" });
  await fnf.deleteFlow({ Name: "kept-2" });
  for (const call of ["describeFlow", "updateFlow", "deleteFlow"]) {
    await assert.rejects(fnf[call]({ Name: "kept" }), refusedWith("FlowNotExists"));
  }
});

test("start, follow, read", async () => {
  await create("greet", GREET);
  const begun = await fnf.startExecution({ FlowName: "greet", ExecutionName: "one", Input: '{ "who": "Ada" }' });
  assert.deepEqual([begun.Status, begun.Output, begun.StoppedTime, begun.Input], ["", "", "", '{ "who": "Ada" }']);
  const found = await endOf("greet", "one");
  assert.deepEqual([found.Status, JSON.parse(found.Output)], ["Succeeded", { hello: "Ada" }]);
  const events = await history("greet", "one");
  assert.deepEqual(events.map((event) => [event.EventId, event.ScheduleEventId, event.Type, event.StepName]), [
    [1, 0, "ExecutionStarted", ""],
    [2, 1, "StepEntered", "greet"],
    [3, 2, "StepStarted", "greet"],
    [4, 3, "StepSucceeded", "greet"],
    [5, 4, "StepExited", "greet"],
    [6, 5, "ExecutionSucceeded", ""],
  ]);
  const again = fnf.startExecution({ FlowName: "greet", ExecutionName: "one" });
  await assert.rejects(again, refusedWith("ExecutionAlreadyExists"));
  await assert.rejects(fnf.startExecution({ FlowName: "greet", Input: "[]" }), refusedWith("InvalidArgument"));
  await assert.rejects(fnf.startExecution({ FlowName: "nowhere" }), refusedWith("FlowNotExists"));
  const missing = fnf.describeExecution({ FlowName: "greet", ExecutionName: "two" });
  await assert.rejects(missing, refusedWith("ExecutionNotExists"));
});

test("stop, and list what was stopped", async () => {
  await create("wait", WAIT);
  for (const ExecutionName of ["one", "two", "three"]) {
    await fnf.startExecution({ FlowName: "wait", ExecutionName });
    await eventOf("wait", ExecutionName, "StepStarted");
    await server.advance("1s");
  }
  const answer = await fnf.stopExecution({ FlowName: "wait", ExecutionName: "two", Error: "Enough", Cause: "of this" });
  assert.deepEqual(Object.keys(answer).sort(), EXECUTION);
  assert.equal(answer.Status, "Running");
  const found = await endOf("wait", "two");
  assert.deepEqual([found.Status, found.StoppedTime], ["Stopped", answer.StoppedTime]);
  const end = (await history("wait", "two")).at(-1);
  assert.deepEqual([end.Type, JSON.parse(end.EventDetail)], ["ExecutionStopped", { error: "Enough", cause: "of this" }]);
  const again = fnf.stopExecution({ FlowName: "wait", ExecutionName: "two" });
  await assert.rejects(again, refusedWith("ExecutionAlreadyCompleted"));

  const names = async (more) => {
    const listed = [];
    let NextToken;
    do {
      const token = NextToken === undefined ? {} : { NextToken };
      const page = await fnf.listExecutions({ FlowName: "wait", Limit: 1, ...token, ...more });
      listed.push(...page.Executions.map((execution) => execution.Name));
      NextToken = page.NextToken;
    } while (NextToken);
    return listed;
  };
  assert.deepEqual(await names({}), ["three", "two", "one"]);
  assert.deepEqual(await names({ Status: "Running" }), ["three", "one"]);
  assert.deepEqual(await names({ ExecutionNamePrefix: "t" }), ["three", "two"]);
});

test("report success and failure", async () => {
  await create("ask", CALLBACK);
  const token = async (ExecutionName) => {
    await fnf.startExecution({ FlowName: "ask", ExecutionName });
    await eventOf("ask", ExecutionName, "TaskSubmitted");
    const { EventDetail } = await eventOf("ask", ExecutionName, "TaskScheduled");
    return JSON.parse(EventDetail).input.token;
  };
  const yes = await token("yes");
  const { EventId } = await fnf.reportTaskSucceeded({ TaskToken: yes, Output: '{"by":"zoë+/="}' });
  assert.equal(EventId, 6);
  assert.deepEqual(JSON.parse((await endOf("ask", "yes")).Output), { by: "zoë+/=" });
  const again = fnf.reportTaskFailed({ TaskToken: yes, Error: "Late" });
  await assert.rejects(again, refusedWith("TaskAlreadyCompleted"));

  const no = await token("no");
  await assert.rejects(fnf.reportTaskSucceeded({ TaskToken: no, Output: "[]" }), refusedWith("InvalidArgument"));
  await fnf.reportTaskFailed({ TaskToken: no, Error: "Rejected", Cause: "too dear" });
  assert.equal((await endOf("ask", "no")).Status, "Failed");
  const end = (await history("ask", "no")).at(-1);
  assert.deepEqual(JSON.parse(end.EventDetail), { error: "Rejected", cause: "too dear" });
});

test("wrong keys, by POST and by GET", async () => {
  for (const call of ["listFlows", "deleteFlow"]) {
    const wrong = client({ accessKeySecret: "wrong" });
    await assert.rejects(wrong[call]({ Name: "greet" }), refusedWith("SignatureNotMatch"));
    const nobody = client({ accessKeyId: "nobody" });
    await assert.rejects(nobody[call]({ Name: "greet" }), refusedWith("InvalidAccessKeyID"));
  }
  assert.equal((await fnf.describeFlow({ Name: "greet" })).Name, "greet");
});

test("a skewed clock, by POST and by GET", async (context) => {
  for (const minutes of [-16, 16]) {
    context.mock.timers.enable({ apis: ["Date"], now: Date.now() + minutes * 60_000 });
    for (const call of ["listFlows", "deleteFlow"]) {
      await assert.rejects(fnf[call]({ Name: "greet" }), (problem) => {
        assert.equal(problem.entry.response.statusCode, 403);
        return refusedWith("RequestTimeTooSkewed")(problem);
      });
    }
    context.mock.timers.reset();
  }
  assert.equal((await fnf.describeFlow({ Name: "greet" })).Name, "greet");
  for (const minutes of [-14, 14]) {
    context.mock.timers.enable({ apis: ["Date"], now: Date.now() + minutes * 60_000 });
    assert.ok((await fnf.listFlows({})).Flows);
    context.mock.timers.reset();
  }
});

test("a form that is too large", async () => {
  // Nothing but headers says whose request this is: the action stands in the form, which nobody reads to its end.
  await assert.rejects(create("large", "x".repeat(1_100_000)), refusedWith("EntityTooLarge"));
});

test("operations that are not built", async () => {
  await assert.rejects(fnf.listSchedules({ FlowName: "greet" }), refusedWith("ActionNotSupported"));
  await assert.rejects(
    fnf.createSchedule({ FlowName: "greet", ScheduleName: "s", CronExpression: "0 0 4 * * *" }),
    refusedWith("ActionNotSupported"),
  );
});

test("an empty bucket", async () => {
  const throttled = await startServer({ flags: ["--throttle", "cloud"] });
  try {
    const hasty = new Fnf({ accessKeyId: "test", accessKeySecret: "test", endpoint: throttled.endpoint });
    const flood = async () => {
      for (let count = 0; count < 200; count += 1) await hasty.listFlows({});
    };
    await assert.rejects(flood(), refusedWith("ResourceThrottled"));
    await waitFor(() => hasty.listFlows({}).then(() => true, () => false), "the bucket to fill again");
  } finally {
    await throttled.stop();
  }
});
