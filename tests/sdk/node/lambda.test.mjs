// Proves that the AWS SDK for JavaScript v3 walks the main path unmodified: deploy, publish, invoke, follow,
// answer, list, stop; and that it puts a wrong clock right by what the server tells it.

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, mock, test } from "node:test";
import {
  CreateAliasCommand,
  CreateFunctionCommand,
  DeleteFunctionCommand,
  GetDurableExecutionCommand,
  GetDurableExecutionHistoryCommand,
  GetDurableExecutionStateCommand,
  GetFunctionCommand,
  InvokeCommand,
  ListFunctionsCommand,
  PublishVersionCommand,
  ResourceNotFoundException,
  SendDurableExecutionCallbackFailureCommand,
  SendDurableExecutionCallbackHeartbeatCommand,
  SendDurableExecutionCallbackSuccessCommand,
  StopDurableExecutionCommand,
  UpdateFunctionCodeCommand,
  paginateGetDurableExecutionHistory,
  paginateListDurableExecutionsByFunction,
  waitUntilFunctionActiveV2,
  waitUntilFunctionUpdatedV2,
} from "@aws-sdk/client-lambda";
import { ORDER, sample, startServer, waitFor, zipped } from "./harness.mjs";

const ROLE = "arn:aws:iam::000000000000:role/durastack";
const ECHO = "export const handler = async (event) => event;\n";
const ENDS = ["ExecutionSucceeded", "ExecutionFailed", "ExecutionTimedOut", "ExecutionStopped"];

let server;
let aws;

before(async () => {
  server = await startServer();
  aws = server.client();
});
after(() => server?.stop());

async function deploy(name, files, more = {}) {
  const created = await aws.send(
    new CreateFunctionCommand({
      FunctionName: name,
      Role: ROLE,
      Runtime: "nodejs22.x",
      Handler: "index.handler",
      Timeout: 30,
      Code: { ZipFile: zipped(files) },
      ...more,
    }),
  );
  await waitUntilFunctionActiveV2({ client: aws, maxWaitTime: 30, minDelay: 1, maxDelay: 1 }, { FunctionName: name });
  return created;
}

async function deployOrder(name) {
  await deploy(`${name}-price`, sample("price-python", "handler.py"), {
    Runtime: "python3.13",
    Handler: "handler.handler",
  });
  await deploy(name, sample("order-node", "index.mjs"), {
    DurableConfig: { ExecutionTimeout: 3600, RetentionPeriodInDays: 7 },
    Environment: { Variables: { PRICE_FUNCTION: `${name}-price`, WAIT_SECONDS: "60", RETRY_SECONDS: "1" } },
  });
}

async function start(name, payload, executionName) {
  const answer = await aws.send(
    new InvokeCommand({
      FunctionName: `${name}:$LATEST`,
      InvocationType: "Event",
      DurableExecutionName: executionName,
      Payload: JSON.stringify(payload),
    }),
  );
  assert.equal(answer.StatusCode, 202);
  assert.ok(answer.DurableExecutionArn);
  return answer.DurableExecutionArn;
}

async function history(arn) {
  const events = [];
  for await (const page of paginateGetDurableExecutionHistory({ client: aws }, { DurableExecutionArn: arn })) {
    events.push(...page.Events);
  }
  return events;
}

const eventOf = (arn, type) =>
  waitFor(async () => (await history(arn)).find((event) => event.EventType === type), `${type} of ${arn}`);
const endOf = (arn) =>
  waitFor(async () => (await history(arn)).find((event) => ENDS.includes(event.EventType)), `the end of ${arn}`);
const text = (answer) => Buffer.from(answer.Payload).toString("utf8");

test("create, get, invoke, update, publish, alias, delete", async () => {
  const name = "plain";
  const created = await deploy(name, { "index.mjs": ECHO });
  assert.equal(created.FunctionArn, `arn:aws:lambda:us-east-1:000000000000:function:${name}`);
  const found = await aws.send(new GetFunctionCommand({ FunctionName: created.FunctionArn }));
  assert.equal(found.Configuration.State, "Active");
  assert.equal(found.Configuration.CodeSha256, created.CodeSha256);

  const answer = await aws.send(new InvokeCommand({ FunctionName: name, Payload: '{"grün":[1,null]}', LogType: "Tail" }));
  assert.equal(text(answer), '{"grün":[1,null]}');
  assert.match(Buffer.from(answer.LogResult, "base64").toString(), /REPORT RequestId: /);

  const { Version } = await aws.send(new PublishVersionCommand({ FunctionName: name }));
  assert.equal(Version, "1");
  await aws.send(new CreateAliasCommand({ FunctionName: name, Name: "live", FunctionVersion: Version }));
  await aws.send(
    new UpdateFunctionCodeCommand({
      FunctionName: name,
      ZipFile: zipped({ "index.mjs": 'export const handler = async () => "new";\n' }),
    }),
  );
  await waitUntilFunctionUpdatedV2({ client: aws, maxWaitTime: 30, minDelay: 1, maxDelay: 1 }, { FunctionName: name });
  const old = await aws.send(new InvokeCommand({ FunctionName: name, Qualifier: "live", Payload: "7" }));
  assert.deepEqual([old.ExecutedVersion, text(old)], ["1", "7"]);
  assert.equal(text(await aws.send(new InvokeCommand({ FunctionName: name }))), '"new"');

  await aws.send(new DeleteFunctionCommand({ FunctionName: name }));
  await waitFor(
    () => aws.send(new GetFunctionCommand({ FunctionName: name })).then(
      () => false,
      (problem) => problem instanceof ResourceNotFoundException,
    ),
    "the function to be gone",
  );
});

test("the state, with a running handler's token; and a history without its data", async () => {
  const folder = await mkdtemp(join(tmpdir(), "durastack-state-"));
  const release = join(folder, "release");
  const source = `
    import { access, writeFile } from "node:fs/promises";
    import { setTimeout } from "node:timers/promises";
    export const handler = async (event) => {
      await writeFile(${JSON.stringify(join(folder, "event"))}, JSON.stringify(event));
      for (let i = 0; i < 2000; i++) {
        try { await access(${JSON.stringify(release)}); break; } catch { await setTimeout(10); }
      }
      return { Status: "SUCCEEDED" };
    };`;
  await deploy("held", { "index.mjs": source }, { DurableConfig: { ExecutionTimeout: 3600 } });
  const arn = await start("held", { secret: 1 }, "held");
  const envelope = await waitFor(
    () => readFile(join(folder, "event"), "utf8").then(JSON.parse, () => undefined),
    "the handler's input",
  );
  const asked = { DurableExecutionArn: arn, CheckpointToken: envelope.CheckpointToken };
  const { Operations } = await aws.send(new GetDurableExecutionStateCommand(asked));
  assert.deepEqual(Operations.map((operation) => operation.Type), ["EXECUTION"]);
  await writeFile(release, "");
  await endOf(arn);
  await assert.rejects(aws.send(new GetDurableExecutionStateCommand(asked)), /Invalid checkpoint token/);
  const without = { DurableExecutionArn: arn, IncludeExecutionData: false };
  const { Events } = await aws.send(new GetDurableExecutionHistoryCommand(without));
  assert.deepEqual(Events[0].ExecutionStartedDetails.Input, { Truncated: true });
  await rm(folder, { recursive: true });
});

test("a function error is an answer, not an exception", async () => {
  await deploy("failing", { "index.mjs": 'export const handler = async () => { throw new RangeError("no"); };\n' });
  const answer = await aws.send(new InvokeCommand({ FunctionName: "failing" }));
  assert.deepEqual([answer.StatusCode, answer.FunctionError], [200, "Unhandled"]);
  const document = JSON.parse(text(answer));
  assert.deepEqual([document.errorType, document.errorMessage], ["RangeError", "no"]);
});

test("an order from start to end", async () => {
  await deployOrder("order");
  const arn = await start("order", ORDER, "whole");
  const callback = (await eventOf(arn, "CallbackStarted")).CallbackStartedDetails.CallbackId;
  await aws.send(new SendDurableExecutionCallbackHeartbeatCommand({ CallbackId: callback }));
  await aws.send(
    new SendDurableExecutionCallbackSuccessCommand({ CallbackId: callback, Result: '{"approved":true,"by":"Grace"}' }),
  );
  await eventOf(arn, "WaitStarted");
  await server.advance("60s");
  assert.equal((await endOf(arn)).EventType, "ExecutionSucceeded");

  const execution = await aws.send(new GetDurableExecutionCommand({ DurableExecutionArn: arn }));
  assert.equal(execution.Status, "SUCCEEDED");
  assert.ok(execution.StartTimestamp instanceof Date && execution.EndTimestamp > execution.StartTimestamp);
  const result = JSON.parse(execution.Result);
  assert.deepEqual([result.status, result.total, result.approvedBy], ["SHIPPED", 3480, "Grace"]);

  const first = await aws.send(new GetDurableExecutionHistoryCommand({ DurableExecutionArn: arn, MaxItems: 3 }));
  assert.deepEqual(first.Events.map((event) => event.EventId), [1, 2, 3]);
  assert.ok(first.NextMarker);
  await assert.rejects(
    aws.send(new SendDurableExecutionCallbackSuccessCommand({ CallbackId: callback })),
    { name: "CallbackTimeoutException" },
  );
  assert.equal(await start("order", ORDER, "whole"), arn, "the same name and payload is the same execution");
  await assert.rejects(start("order", { ...ORDER, customer: "Bob" }, "whole"), {
    name: "DurableExecutionAlreadyStartedException",
  });
});

test("refuse, stop and list", async () => {
  await deployOrder("listed");
  const refused = await start("listed", ORDER, "refused");
  const callback = (await eventOf(refused, "CallbackStarted")).CallbackStartedDetails.CallbackId;
  await aws.send(
    new SendDurableExecutionCallbackFailureCommand({
      CallbackId: callback,
      Error: { ErrorType: "NotAllowed", ErrorMessage: "no" },
    }),
  );
  assert.equal((await endOf(refused)).EventType, "ExecutionFailed");

  const stopped = await start("listed", ORDER, "stopped");
  await eventOf(stopped, "CallbackStarted");
  const { StopTimestamp } = await aws.send(
    new StopDurableExecutionCommand({ DurableExecutionArn: stopped, Error: { ErrorMessage: "enough" } }),
  );
  const execution = await aws.send(new GetDurableExecutionCommand({ DurableExecutionArn: stopped }));
  assert.deepEqual([execution.Status, execution.Error.ErrorMessage], ["STOPPED", "enough"]);
  assert.equal(execution.EndTimestamp.getTime(), StopTimestamp.getTime());

  const names = async (more) => {
    const found = [];
    const pages = paginateListDurableExecutionsByFunction(
      { client: aws, pageSize: 1 },
      { FunctionName: "listed", ...more },
    );
    for await (const page of pages) found.push(...page.DurableExecutions.map((item) => item.DurableExecutionName));
    return found;
  };
  assert.deepEqual(await names({}), ["stopped", "refused"]);
  assert.deepEqual(await names({ ReverseOrder: true }), ["refused", "stopped"]);
  assert.deepEqual(await names({ Statuses: ["FAILED"] }), ["refused"]);
  assert.deepEqual(await names({ StartedAfter: new Date(Date.now() + 40 * 24 * 3600 * 1000) }), []);
});

test("a synchronous invoke of a durable function answers with its result", async () => {
  const source = `
    import { withDurableExecution } from "@aws/durable-execution-sdk-js";
    export const handler = withDurableExecution(async (event, context) => {
      await context.wait("pause", { seconds: 1 });
      return context.step("echo", async () => event);
    });
  `;
  await deploy("sync", { "index.mjs": source }, { DurableConfig: { ExecutionTimeout: 60 } });
  const answer = await aws.send(new InvokeCommand({ FunctionName: "sync", Qualifier: "$LATEST", Payload: '{"a":1}' }));
  assert.deepEqual([answer.StatusCode, answer.FunctionError, text(answer)], [200, undefined, '{"a":1}']);
  assert.match(answer.DurableExecutionArn, /:function:sync:\$LATEST\/durable-execution\//);
});

for (const [word, minutes] of [["behind", -6], ["ahead", 6]]) {
  test(`F24: a clock six minutes ${word} heals in one retry`, async () => {
    mock.timers.enable({ apis: ["Date"], now: Date.now() + minutes * 60_000 });
    try {
      const skewed = server.client();
      const first = await skewed.send(new ListFunctionsCommand({}));
      assert.equal(first.$metadata.attempts, 2);
      const second = await skewed.send(new ListFunctionsCommand({}));
      assert.equal(second.$metadata.attempts, 1, "and stays healed");
    } finally {
      mock.timers.reset();
    }
  });
}

test("a wrong secret is refused with its reason", async () => {
  const stranger = server.client({ credentials: { accessKeyId: "test", secretAccessKey: "wrong" } });
  await assert.rejects(stranger.send(new ListFunctionsCommand({})), (problem) => {
    assert.equal(problem.name, "InvalidSignatureException");
    assert.equal(problem.$metadata.httpStatusCode, 403);
    assert.match(problem.message, /^The request signature we calculated does not match/);
    return true;
  });
});
