//go:build unix

package blocks

// The table has the blocks of which more is known than their language, by document and first
// line.
var table = map[string]check{
	"README.md: browsers ──┐        ┌───────────── your server, one process ─────────────┐": {reason: "a picture"},
	"README.md: package main": {run: runProgram},
	`README.md: curl -u my-write-key: -d '{"event":"Signed Up","userId":"user-1"}' http://127.0.0.1:8080/t/v1/track`: {
		with: "README.md: package main",
	},
	`README.md: {"success":true}`:            {with: "README.md: package main"},
	"README.md: tail -n 1 inlet-data/*.part": {with: "README.md: package main"},
	"docs/API.md: npx openapi-typescript https://shop.example/t/openapi.json -o api.d.ts": {
		by: "internal/interop/openapi_client_test.go TestOpenAPIClient",
	},
	"docs/API.md: import createClient from 'openapi-fetch'":   {by: "internal/interop/openapi_client_test.go TestOpenAPIClient"},
	"docs/KUBERNETES.md: GOWORK=off go mod vendor -o .vendor": {by: "cmd/inlet/dockerfile_test.go TestDockerfile"},
	"docs/KUBERNETES.md: docker run --rm -p 127.0.0.1:8080:8080 -v inlet-data:/data registry.example/inlet:1": {
		by: "cmd/inlet/kubernetes_test.go TestKubernetes",
	},
	"docs/KUBERNETES.md: apiVersion: v1":                          {by: "cmd/inlet/kubernetes_test.go TestKubernetes"},
	"docs/KUBERNETES.md: kubectl logs -f inlet-1 > inlet-1.log &": {by: "cmd/inlet/kubernetes_test.go TestKubernetes"},
	"docs/KUBERNETES.md: # Three brokers, three nodes, and what is in front of them.": {
		by: "examples/cluster/kubernetes_test.go TestKubernetes",
	},
	"docs/KUBERNETES.md: CGO_ENABLED=0 go build -ldflags=-s -o examples/cluster/cluster ./examples/cluster": {
		by: "examples/cluster/kubernetes_test.go TestKubernetes",
	},
	"docs/KUBERNETES.md: kubectl delete pvc data-nats-1 --wait=false": {by: "examples/cluster/kubernetes_test.go TestKubernetes"},
	"docs/DESIGN.md: examples ─▶ middleware ─▶ enrichers    authcache    sinks ◀── sinks/journal    sinktest": {
		reason: "a picture; the table below it is tested",
	},
	"docs/DESIGN.md: SDK ──HTTP──▶ the host's server":                                            {reason: "a picture"},
	"docs/DESIGN.md: Write ─▶ request ─▶ queue ─▶ committer ─▶ store ─▶ segment ─▶ file":         {reason: "a picture"},
	`docs/MIGRATION.md: {"event_name":"search","event_id":"E1","event_timestamp":1639044446636,`: {run: runMigration},
	"docs/OPERATIONS.md: upstream inlet {":                                                       {by: "internal/interop/nginx_test.go TestNginx"},
	"docs/OPERATIONS.md: {":                                                                      {by: "keyfile/keyfile_test.go TestHashCommand"},
	"docs/OPERATIONS.md: DIR/00000000000000004711.ndjson.part   being written":                   {reason: "names of files"},
	`docs/OPERATIONS.md: jq -c 'select(.type == "track") | .event' DIR/*.ndjson`:                 {run: runReading},
	`docs/OPERATIONS.md: cat DIR/dead/NAME/*.ndjson* | jq -cR 'fromjson? | {messageId, reason: ._refused}'`: {
		by: "sinks/journal/query_test.go TestDeadLetterCommand",
	},
	`docs/OPERATIONS.md: cat inlet-rejects/*.ndjson* | jq -cR 'fromjson? | [._refused.code, .event, ._refused.error]'`: {
		by: "examples/mount/example_test.go TestRejectsCommand",
	},
	"docs/METRICS.md: global:":                                                                     {by: "observers/prometheus/series_test.go TestPromtool"},
	"docs/TESTING.md: curl -s -X DELETE http://127.0.0.1:8090/events":                              {by: "cmd/inlet/docs_test.go TestFakeDocument"},
	"docs/DESTINATIONS.md: -- events by day and name":                                              {by: "sinks/postgressink/destinations_linux_test.go TestDestinations"},
	"docs/DESTINATIONS.md: -- active people by week":                                               {by: "sinks/postgressink/destinations_linux_test.go TestDestinations"},
	"docs/DESTINATIONS.md: -- what a person did last":                                              {by: "sinks/postgressink/destinations_linux_test.go TestDestinations"},
	"docs/DESTINATIONS.md: -- from a product to an order":                                          {by: "sinks/postgressink/destinations_linux_test.go TestDestinations"},
	"docs/DESTINATIONS.md: -- how many came back, by week of the first visit":                      {by: "sinks/postgressink/destinations_linux_test.go TestDestinations"},
	"docs/DESTINATIONS.md: -- revenue by currency, from the payload":                               {by: "sinks/postgressink/destinations_linux_test.go TestDestinations"},
	"docs/DESTINATIONS.md: -- revenue by day":                                                      {by: "sinks/postgressink/destinations_linux_test.go TestDestinations"},
	"docs/DESTINATIONS.md: -- orders by the campaign that the visitor came with first":             {by: "sinks/postgressink/destinations_linux_test.go TestDestinations"},
	"docs/DESTINATIONS.md: -- visits: a page more than 30 minutes after the one before begins one": {by: "sinks/postgressink/destinations_linux_test.go TestDestinations"},
	"docs/DESTINATIONS.md: -- who each visitor has turned out to be":                               {by: "sinks/postgressink/destinations_linux_test.go TestDestinations"},
	"docs/DESTINATIONS.md: -- indexes that most teams add":                                         {by: "sinks/postgressink/destinations_linux_test.go TestDestinations"},
	"docs/DESTINATIONS.md: -- what was loaded since the last run":                                  {by: "sinks/postgressink/destinations_linux_test.go TestDestinations"},
	"docs/DESTINATIONS.md: -- the anonymous ids of a person":                                       {by: "sinks/postgressink/destinations_linux_test.go TestDestinations"},
	"docs/DESTINATIONS.md: -- everything about a person, in the table of events":                   {by: "sinks/postgressink/destinations_linux_test.go TestDestinations"},
	"docs/DESTINATIONS.md: -- everything about a person, in all typed tables":                      {by: "sinks/postgressink/destinations_linux_test.go TestDestinations"},
	"docs/DESTINATIONS.md: -- everything that was received before a day, in all typed tables":      {by: "sinks/postgressink/destinations_linux_test.go TestDestinations"},
	"docs/DESTINATIONS.md: -- what the tables take":                                                {by: "sinks/postgressink/destinations_linux_test.go TestDestinations"},
	"docs/SINKS.md: -- the latest orders":                                                          {by: "sinks/postgressink/sink_linux_test.go TestSink"},
	"docs/SINKS.md: -- from a product to an order":                                                 {by: "sinks/postgressink/tables_models_linux_test.go TestModels"},
	`docs/TESTING.md: inlettest: no track event "Order Completed" with the properties {"coupon":"SPRING","total":50} recei`: {
		by: "inlettest/inlettest_test.go TestDocument",
	},
	"examples/cluster/README.md: 30 s, 60000 events are acknowledged, 1999 a second": {reason: "output with counts that vary"},
	"examples/postgres/README.md: A PostgreSQL of its own is running in /tmp/inlet-postgres-2181112150.": {
		by: "examples/postgres/main_test.go TestPostgres",
	},
	"examples/postgres/README.md: DROP TABLE inlet_example_events;":                {by: "examples/postgres/main_test.go TestPostgres"},
	"examples/query/README.md: 1672 events are acknowledged, and more are coming:": {reason: "output with counts that vary"},
	`examples/query/README.md: duckdb -c "`:                                        {by: "examples/query/readme_test.go TestReadme"},
	`examples/query/README.md: grep -ha '^{' "$DIR"/*.ndjson* |`:                   {by: "examples/query/readme_test.go TestReadme"},
}
