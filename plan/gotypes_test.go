package plan_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/plan"
)

const typedPlan = `{"name":"shop","version":"1","rules":[
	{"type":"track","event":"Order Completed","schema":{"properties":{"properties":{
		"required":["order_id","total"],
		"properties":{
			"order_id":{"type":"string","description":"The number on the\n*/ invoice."},"total":{"type":"number"},"count":{"type":"integer"},"gift":{"type":"boolean"},
			"currency":{"type":"string","enum":["EUR","USD"]},"mixed":{"type":["string","number"]},"any":{},
			"products":{"type":"array","items":{"type":"object","required":["sku"],"properties":{"sku":{"type":"string"},"tags":{"type":"array","items":{"type":"string"}}}}},
			"address":{"type":"object","properties":{"city":{"type":"string"}}},"open":{"type":"object"}
		}}}}},
	{"type":"track","event":"order_completed"},
	{"type":"track","event":"Order-Completed","version":2},
	{"type":"track","event":"Order-Completed","version":3},
	{"type":"track","event":"1st ` + "`" + `\"\u0000 é 注文"},
	{"type":"track","event":"!"},
	{"type":"track","event":"type"},
	{"type":"track","event":"Event","schema":{"properties":{"properties":{"properties":{
		"Event":{"type":"string"},"event":{"type":"string"},"a b":{"type":"string"},"a_b":{"type":"string"},"9":{"type":"string"},"":{"type":"string"},
		"-":{"type":"string"},"a,b":{"type":"string"},"\"":{"type":"string"},"a` + "`" + `b":{"type":"string"},"注文":{"type":"object","properties":{"func":{"type":"string"}}},"json":{"type":"string"}}}}}},
	{"type":"identify","schema":{"properties":{"traits":{"required":["plan"],"properties":{"plan":{"type":"string"}}}}}},
	{"type":"group"},{"type":"page"},{"type":"page","event":"Home"},{"type":"screen"},{"type":"alias"},{"type":"common","schema":{"required":["userId"]}}
]}`

// The types of a plan compile, whatever its names are, and their events follow the plan.
func TestGoTypes(t *testing.T) {
	t.Parallel()
	p := read(t, typedPlan)
	text, err := p.GoTypes("main")
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "events.go"), text, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte(`package main

import (
	"fmt"

	"github.com/inlet-go/inlet"
)

func main() {
	coupon := "EUR"
	for _, of := range []interface{ Event() (*inlet.Event, error) }{
		&OrderCompleted{OrderID: "1", Total: 1.5, Currency: &coupon, Products: []OrderCompletedProducts{{SKU: "s"}}},
		&OrderCompleted2{}, &OrderCompleted3{}, &Identify{Plan: "free"}, &PageHome{}, &Page{}, &Event3{},
	} {
		e, err := of.Event()
		if err != nil {
			panic(err)
		}
		e.UserID = "user-1"
		fmt.Println(string(e.AppendJSON(nil)))
	}
}
`), 0o600))
	cmd := exec.CommandContext(t.Context(), "go", "run", filepath.Join(dir, "events.go"), filepath.Join(dir, "main.go"))
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s\n%s", out, text)
	require.Equal(t, `{"type":"track","event":"Order Completed","userId":"user-1","properties":{"currency":"EUR","order_id":"1","products":[{"sku":"s"}],"total":1.5}}
{"type":"track","event":"order_completed","userId":"user-1","properties":{}}
{"type":"track","event":"Order-Completed","userId":"user-1","properties":{}}
{"type":"identify","userId":"user-1","traits":{"plan":"free"}}
{"type":"page","name":"Home","userId":"user-1","properties":{}}
{"type":"page","userId":"user-1","properties":{}}
{"type":"track","event":"Event","userId":"user-1","properties":{}}
`, string(out))

	for _, name := range []string{"", "func", "a-b", "_"} {
		_, err := p.GoTypes(name)
		require.ErrorContains(t, err, fmt.Sprintf("plan: %q cannot be the name of a package", name))
	}
	_, err = read(t, `{"rules":[]}`).GoTypes("events")
	require.NoError(t, err)
}

// What is inferred from events has types, too.
func TestGoTypesOfInference(t *testing.T) {
	t.Parallel()
	inference := new(plan.Inference)
	inference.Add(order("a", `{"total":1,"nested":{"deep":{"list":[{"x":null}]}}}`))
	var text json.RawMessage = inference.JSON("shop", "1")
	types, err := read(t, string(text)).GoTypes("events")
	require.NoError(t, err)
	require.Contains(t, string(types), "type OrderCompletedNestedDeepList struct")
}
