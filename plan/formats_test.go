package plan_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/plan"
)

const (
	segmentRules = `{"data":{"rules":[
	  {"type":"TRACK","key":"Order Completed","version":1,"jsonSchema":{"$schema":"http://json-schema.org/draft-07/schema#","type":"object",
	    "properties":{"context":{},"traits":{},"properties":{"type":"object","properties":{"total":{"type":["number"],"id":"/properties/properties/properties/total"}},"required":["total"]}},"required":["properties"]},
	    "createdAt":"2026-01-01T00:00:00Z","updatedAt":"2026-01-01T00:00:00Z","deprecatedAt":"0001-01-01T00:00:00.000Z"},
	  {"type":"TRACK","key":"Order Completed","version":2,"jsonSchema":{"properties":{"properties":{"required":["revenue"]}}}},
	  {"type":"IDENTIFY","key":null,"version":1,"jsonSchema":{"properties":{"traits":{"required":["email"]}}}},
	  {"type":"COMMON","key":null,"version":1,"jsonSchema":{"properties":{"context":{"required":["library"]}},"required":["context"]}}
	],"pagination":{"current":"MA==","totalEntries":4}}}`

	segmentConfig = `{"name":"workspaces/w/tracking-plans/rs_1","display_name":"Kicks","rules":{"identify_traits":[],"group_traits":[],
	  "events":[{"name":"Order Completed","description":"Who bought what","version":1,"rules":{"$schema":"http://json-schema.org/draft-04/schema#","type":"object",
	    "properties":{"context":{},"traits":{},"properties":{"required":["total"],"type":"object","properties":{"total":{"type":["number"]}}}}}}],
	  "global":{"$schema":"http://json-schema.org/draft-04/schema#","type":"object","properties":{"context":{"required":["library"],"type":"object"},"traits":{},"properties":{}}},
	  "identify":{"type":"object","properties":{"traits":{"required":["email"]},"properties":{},"context":{}}},"group":{}},
	  "create_time":"2019-02-05T01:21:25Z","update_time":"2019-02-05T01:21:26Z"}`

	rudderCatalog = `{"id":"tp_1","name":"Kicks","creationType":"manual","version":3,"workspaceId":"w","events":[
	  {"id":"ev_1","name":"Order Completed","eventType":"track","categoryId":null,"identitySection":"properties","rules":{"$schema":"https://json-schema.org/draft/2019-09/schema","type":"object",
	    "properties":{"properties":{"type":"object","additionalProperties":false,"properties":{"total":{"$ref":"#/$defs/money"}},"required":["total"]}},"$defs":{"money":{"type":["number"]}}}},
	  {"id":"ev_2","name":"","eventType":"identify","identitySection":"context.traits","rules":{"type":"object","properties":{"context":{"properties":{"traits":{"required":["email"]}}}}}}]}`

	rudderRules = `{"name":"workspaces/w/tracking-plans/tp_1","displayName":"Kicks","version":"1","rules":{"events":[
	  {"id":"ev_1","name":"Order Completed","version":"1-0-0","rules":{"type":"object","$schema":"http://json-schema.org/draft-07/schema#","required":["properties"],
	    "properties":{"properties":{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","required":["total"],"properties":{"total":{"type":"number"}}}}}}]}}`
)

func TestFormats(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text    string
		read          func(string) (*plan.Plan, error)
		title, newest string
		rules         []string
	}{
		{"the rules of Segment's Public API", segmentRules, segment, "", "",
			[]string{"track Order Completed", "track Order Completed (version 2)", "identify", "common"}},
		{"a plan of Segment's Config API", segmentConfig, segment, "Kicks", "2019-02-05T01:21:26Z", []string{"track Order Completed", "common", "identify"}},
		{"a plan of RudderStack's Data Catalog API", rudderCatalog, rudder, "Kicks", "3", []string{"track Order Completed", "identify"}},
		{"a plan of RudderStack's Tracking Plan API", rudderRules, rudder, "Kicks", "1", []string{"track Order Completed"}},
		{"a file of an editor", "\uFEFF" + strings.ReplaceAll(rudderRules, "\n", "\r\n"), rudder, "Kicks", "1", []string{"track Order Completed"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, err := c.read(c.text)
			require.NoError(t, err)
			require.Equal(t, c.title, p.Name())
			require.Equal(t, c.newest, p.Version())
			var rules []string
			for _, r := range p.Rules() {
				rules = append(rules, r.String())
			}
			require.Equal(t, c.rules, rules)
		})
	}
}

// A part of a plan is not taken for the plan, nor one number for another.
func TestFormatErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text   string
		read   func(string) (*plan.Plan, error)
		reason string
	}{
		{strings.Replace(segmentRules, `"current":"MA==",`, `"current":"MA==","next":"MQ==",`, 1), segment, "this is one page of the rules"},
		{`{"rules":[],"pagination":{"next":"MQ=="}}`, segment, "this is one page of the rules"},
		{`{"rules":[{"type":"TRACK","key":"a","version":1.5,"jsonSchema":{}}]}`, segment, `"version" is "1.5", which is not a whole number`},
		{`{"rules":[{"type":"TRACK","key":"a","version":"2-0-0","jsonSchema":{}}]}`, segment, `"version" is "2-0-0", which is not a whole number`},
	} {
		_, err := c.read(c.text)
		require.ErrorContains(t, err, c.reason, c.text)
	}
	_, err := segment(`{"rules":[],"pagination":{"current":"MA==","next":null,"totalEntries":0}}`)
	require.NoError(t, err)
}

// A plan in another format is not called one with strange members only.
func TestOtherFormats(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, format string }{
		{"the rules of Segment's Public API", segmentRules, "Segment"},
		{"the rules of all pages in a list", `{"rules":[{"type":"TRACK","key":"a","version":1,"jsonSchema":{}}]}`, "Segment"},
		{"a plan of Segment's Public API without its rules", `{"data":{"trackingPlan":{"id":"tp_1"}}}`, "Segment"},
		{"what is below data", `{"trackingPlan":{"id":"tp_1"},"rules":[]}`, "Segment"},
		{"a plan of Segment's Config API", segmentConfig, "Segment"},
		{"its rules alone", `{"rules":{"events":[],"global":{},"identify":{},"group":{}}}`, "Segment"},
		{"a plan of RudderStack's Data Catalog API", rudderCatalog, "RudderStack"},
		{"without events", `{"id":"tp_1","name":"Kicks","events":[]}`, "RudderStack"},
		{"a plan of RudderStack's Tracking Plan API", rudderRules, "RudderStack"},
		{"a mistake", `{"rules":[{"type":"track","event":"a","shema":{}}]}`, ""},
		{"a mistake at the root", `{"data":1,"rules":[1]}`, ""},
		{"another mistake at the root", `{"data":{},"events":{},"rules":[]}`, ""},
		{"no rules", `{}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := plan.Load(strings.NewReader(c.text), nil)
			if c.format == "" {
				require.Error(t, err)
				require.NotContains(t, err.Error(), "looks like")
				return
			}
			require.ErrorContains(t, err, "; this looks like a plan of "+c.format+", which is another format")
		})
	}
}

func segment(text string) (*plan.Plan, error) { return plan.Segment(strings.NewReader(text), nil) }
func rudder(text string) (*plan.Plan, error)  { return plan.RudderStack(strings.NewReader(text), nil) }

func TestVersions(t *testing.T) {
	t.Parallel()
	p, err := segment(segmentRules)
	require.NoError(t, err)
	for _, c := range []struct {
		name, context, properties string
		messages                  []string
	}{
		{"the newest", `{"library":{}}`, `{"total":1}`, []string{"properties.revenue is missing"}},
		{"the one that the event names", `{"library":{},"protocols":{"event_version":1}}`, `{"total":1}`, nil},
		{"named by a text", `{"library":{},"protocols":{"event_version":"1"}}`, `{"revenue":1}`, []string{"properties.total is missing: it must be a number"}},
		{"in a name with escapes", `{"library":{},"protocol\u0073":{"event_v\u0065rsi\u006f\u006e":1}}`, `{"total":1}`, nil},
		{"one that does not exist", `{"library":{},"protocols":{"event_version":3}}`, `{"total":1}`, []string{`version 3 of track "Order Completed" is not in the plan, which has version 2`}},
		{"with what is common", `{"protocols":{"event_version":1}}`, `{"total":1}`, []string{"context.library is missing"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := inlet.Event{Type: "track", Name: "Order Completed", Context: raw(c.context), Properties: raw(c.properties)}
			require.Equal(t, c.messages, messagesOf(p, &e))
		})
	}
}

// Of the common rules the newest is applied, wherever it is in the file. Its version is none that
// events name.
func TestCommonVersions(t *testing.T) {
	t.Parallel()
	const (
		first  = `{"type":"common","schema":{"required":["userId"]}}`
		second = `{"type":"common","version":2,"schema":{"required":["anonymousId"]}}`
		third  = `{"type":"common","version":10,"schema":{"required":["groupId"]}}`
	)
	for _, c := range []struct {
		name, rules, context string
		messages             []string
	}{
		{"one", first, "", []string{"userId is missing"}},
		{"two", first + "," + second, "", []string{"anonymousId is missing"}},
		{"the newest first", second + "," + first, "", []string{"anonymousId is missing"}},
		{"three", first + "," + third + "," + second, "", []string{"groupId is missing"}},
		{"an event that names another", first + "," + second, `{"protocols":{"event_version":1}}`, []string{"anonymousId is missing"}},
		{"an event that names one that no rule has", second, `{"protocols":{"event_version":7}}`, []string{"anonymousId is missing"}},
		{"an event that names the version of its own rule", second + `,{"type":"identify","version":3,"schema":false},{"type":"identify"}`,
			`{"protocols":{"event_version":1}}`, []string{"anonymousId is missing"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := load(t, `{"rules":[`+c.rules+`]}`)
			require.Equal(t, c.messages, messagesOf(p, &inlet.Event{Type: "identify", Context: raw(c.context)}))
		})
	}
	both := load(t, `{"rules":[`+first+","+second+`]}`)
	require.Equal(t, []plan.Change{{Breaks: true, Rule: "common (version 2)", Text: "has no rule any more"}},
		plan.Diff(both, load(t, `{"rules":[`+first+`]}`)), "the older one is applied then")
	require.Equal(t, []plan.Change{{Rule: "common", Text: "has no rule any more"}}, plan.Diff(both, load(t, `{"rules":[`+second+`]}`)))
}

// An event of a version that the plan does not have says so, whatever its type is.
func TestUnknownVersion(t *testing.T) {
	t.Parallel()
	p := load(t, `{"rules":[{"type":"identify","version":2},{"type":"page"},{"type":"page","event":"Home"}]}`)
	context := raw(`{"protocols":{"event_version":"7"}}`)
	for _, c := range []struct {
		event   inlet.Event
		message string
	}{
		{inlet.Event{Type: "identify", Context: context}, "version 7 of identify is not in the plan, which has version 2"},
		{inlet.Event{Type: "page", Context: context}, `version 7 of page "" is not in the plan, which has version 1`},
		{inlet.Event{Type: "page", Name: "Home", Context: context}, `version 7 of page "Home" is not in the plan, which has version 1`},
		{inlet.Event{Type: "track", Name: "Home", Context: context}, `track "Home" is not in the plan`},
	} {
		found := p.Check(&c.event, nil)
		require.Len(t, found, 1)
		require.Equal(t, plan.UnplannedEvent, found[0].Kind)
		require.Equal(t, c.message, found[0].Message())
	}
}

func messagesOf(p *plan.Plan, e *inlet.Event) (messages []string) {
	for _, v := range p.Check(e, nil) {
		messages = append(messages, v.Message())
	}
	return messages
}
