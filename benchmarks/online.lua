-- Usage records as a node takes them, every one under a fresh id and every request under a fresh Idempotency-Key.
-- Arguments: the node's key, records a request, a word that no other run has.

local count, sent, size, run = 0, 0, 1, ""

function init(args)
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  wrk.headers["Authorization"] = "Bearer " .. args[1]
  size, run = tonumber(args[2]), args[3]
end

local form = '{"source":"bench","id":"%s-%d","service":"chat","start":"2026-11-%02dT%02d:%02d:%02dZ",'
  .. '"payers":[{"payer":"u%d"}],"parts":[{"part":"model","provider":"host-%02d"}],'
  .. '"quantities":{"input_tokens":"%d","output_tokens":"%d"}}'

local function record()
  count = count + 1
  local n = count
  return string.format(form, run, n, 1 + n % 18, n % 24, n % 60, n % 59, n * 7919 % 10000, n * 31 % 50,
    200 + n % 1800, 20 + n % 500)
end

function request()
  sent = sent + 1
  wrk.headers["Idempotency-Key"] = run .. "-" .. sent
  local records = {}
  for i = 1, size do records[i] = record() end
  return wrk.format(nil, "/v1/usage", nil, "[" .. table.concat(records, ",") .. "]")
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format('{"requests":%d,"seconds":%.6f,"p50":%.3f,"p99":%.3f,"max":%.3f,"failed":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    latency.max / 1e3, e.connect + e.read + e.write + e.status + e.timeout))
end
