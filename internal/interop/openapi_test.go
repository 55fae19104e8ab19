package interop

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
)

// description is inlet.OpenAPI, read to compare requests and answers with it.
type description struct {
	Security   []map[string][]string
	Paths      map[string]*pathItem
	Components struct {
		SecuritySchemes map[string]securityScheme
		Parameters      map[string]*parameter
		Headers         map[string]*parameter
		RequestBodies   map[string]*message
		Responses       map[string]*message
	}
	compiler *jsonschema.Compiler
}

type pathItem struct {
	Parameters []*parameter
	Get        *operation
	Head       *operation
	Post       *operation
}

type operation struct {
	OperationID string
	Security    *[]map[string][]string
	Parameters  []*parameter
	RequestBody *message
	Responses   map[string]*message

	path, method string
}

type securityScheme struct{ Type, Scheme, In, Name string }

// parameter is a parameter, or a header of an answer.
type parameter struct {
	Ref      string `json:"$ref"`
	Name, In string
	Required bool
	Explode  bool
	Style    string
	Schema   json.RawMessage
	Example  any
}

// message is the body of a request, or an answer.
type message struct {
	Ref     string `json:"$ref"`
	Headers map[string]*parameter
	Content map[string]struct {
		Schema   json.RawMessage
		Examples map[string]struct{ Value json.RawMessage }
	}
}

const descriptionURL = "file:///openapi.json"

func readDescription(t *testing.T) *description {
	t.Helper()
	d := &description{compiler: jsonschema.NewCompiler()}
	require.NoError(t, json.Unmarshal(inlet.OpenAPI(), d))
	d.compiler.AssertFormat()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(inlet.OpenAPI()))
	require.NoError(t, err)
	require.NoError(t, d.compiler.AddResource(descriptionURL, document))
	for path, item := range d.Paths {
		for method, op := range item.operations() {
			op.path, op.method = path, method
			op.Parameters = append(slices.Clone(item.Parameters), op.Parameters...)
			for i, p := range op.Parameters {
				op.Parameters[i] = resolve(t, d.Components.Parameters, p, p.Ref)
			}
			if op.RequestBody != nil {
				op.RequestBody = resolve(t, d.Components.RequestBodies, op.RequestBody, op.RequestBody.Ref)
			}
			if op.Security == nil {
				op.Security = &d.Security
			}
			require.NotEmpty(t, op.Responses, "%s %s", method, path)
			for status, answer := range op.Responses {
				answer = resolve(t, d.Components.Responses, answer, answer.Ref)
				op.Responses[status] = answer
				for name, header := range answer.Headers {
					answer.Headers[name] = resolve(t, d.Components.Headers, header, header.Ref)
				}
			}
		}
	}
	return d
}

// resolve returns what a reference names, or v if it is none.
func resolve[V any](t *testing.T, components map[string]V, v V, ref string) V {
	t.Helper()
	if ref == "" {
		return v
	}
	named, ok := components[ref[strings.LastIndexByte(ref, '/')+1:]]
	require.True(t, ok, "%s is not in the document", ref)
	return named
}

func (p *pathItem) operations() map[string]*operation {
	all := map[string]*operation{http.MethodGet: p.Get, http.MethodHead: p.Head, http.MethodPost: p.Post}
	maps.DeleteFunc(all, func(_ string, op *operation) bool { return op == nil })
	return all
}

// schema compiles a schema of the document.
func (d *description) schema(raw json.RawMessage) (*jsonschema.Schema, error) {
	var ref struct {
		Ref string `json:"$ref"`
	}
	if err := json.Unmarshal(raw, &ref); err != nil {
		return nil, err
	}
	if ref.Ref != "" {
		return d.compiler.Compile(descriptionURL + ref.Ref)
	}
	schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(descriptionURL, schema); err != nil {
		return nil, err
	}
	return c.Compile(descriptionURL)
}

// conforms reports how a value, as jsonschema reads it, differs from its schema.
func (d *description) conforms(raw json.RawMessage, value any) error {
	schema, err := d.schema(raw)
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

// find returns the operation of a request, nil for none. As the document says, slashes do not
// count, and a path that begins with /v1/ may come without that.
func (d *description) find(method, path string) (*operation, map[string]string) {
	segments := strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
	for _, prefix := range [][]string{nil, {"v1"}} {
		asked := append(slices.Clone(prefix), segments...)
		best, values := (*operation)(nil), map[string]string(nil)
		for _, path := range slices.Sorted(maps.Keys(d.Paths)) {
			given, ok := d.Paths[path].match(path, asked)
			op := d.Paths[path].operations()[method]
			if ok && op != nil && (best == nil || len(given) < len(values)) {
				best, values = op, given
			}
		}
		if best != nil {
			return best, values
		}
	}
	return nil, nil
}

// match returns the values of a path's parameters in the segments of a request's.
func (*pathItem) match(path string, segments []string) (map[string]string, bool) {
	own := strings.Split(path[1:], "/")
	if len(own) != len(segments) {
		return nil, false
	}
	values := map[string]string{}
	for i, segment := range own {
		switch {
		case strings.HasPrefix(segment, "{"):
			values[strings.Trim(segment, "{}")] = segments[i]
		case segment != segments[i]:
			return nil, false
		}
	}
	return values, true
}

// checkRequest reports how a request differs from what its operation describes.
func (d *description) checkRequest(op *operation, values map[string]string, r *http.Request, body []byte) error {
	return errors.Join(d.checkKey(op, r), d.checkParameters(op, values, r), d.checkBody(op, body))
}

func (d *description) checkKey(op *operation, r *http.Request) error {
	for _, needed := range *op.Security {
		given := true
		for name := range needed {
			scheme := d.Components.SecuritySchemes[name]
			switch {
			case scheme.Type == "http":
				word, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
				given = given && strings.EqualFold(word, scheme.Scheme)
			case scheme.In == "header":
				given = given && r.Header.Get(scheme.Name) != ""
			case scheme.In == "query":
				given = given && r.URL.Query().Get(scheme.Name) != ""
			}
		}
		if given {
			return nil
		}
	}
	return errors.New("the key is in no place that is described")
}

func (d *description) checkParameters(op *operation, values map[string]string, r *http.Request) (err error) {
	free := false
	known := map[string]bool{}
	for _, scheme := range d.Components.SecuritySchemes {
		known[scheme.Name] = scheme.In == "query"
	}
	for _, p := range op.Parameters {
		value, given := "", false
		switch p.In {
		case "path":
			value, given = values[p.Name]
		case "header":
			value, given = r.Header.Get(p.Name), r.Header.Get(p.Name) != ""
		case "query":
			known[p.Name] = true
			free = free || p.Explode && p.Style == "form"
			value, given = r.URL.Query().Get(p.Name), r.URL.Query().Has(p.Name)
		}
		switch {
		case p.Explode:
		case given:
			if fault := d.conforms(p.Schema, value); fault != nil {
				err = errors.Join(err, fmt.Errorf("%s: %w", p.Name, fault))
			}
		case p.Required:
			err = errors.Join(err, fmt.Errorf("%s is missing", p.Name))
		}
	}
	for name := range r.URL.Query() {
		outer, _, _ := strings.Cut(name, "[")
		if !free && !known[outer] {
			err = errors.Join(err, fmt.Errorf("the parameter %s is not described", name))
		}
	}
	return err
}

func (d *description) checkBody(op *operation, body []byte) error {
	switch {
	case op.RequestBody == nil && len(body) == 0:
		return nil
	case op.RequestBody == nil:
		return errors.New("a body is not described")
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return err
	}
	return d.conforms(op.RequestBody.Content["application/json"].Schema, value)
}

// checkAnswer reports how an answer differs from what an operation describes. The body of an answer
// to HEAD is left out by the server.
func (d *description) checkAnswer(op *operation, status int, header http.Header, body []byte) (err error) {
	answer := op.Responses[strconv.Itoa(status)]
	if answer == nil {
		return fmt.Errorf("the status %d is not described", status)
	}
	for name := range header {
		if name == "Content-Type" || name == "Content-Length" || name == "Connection" {
			continue // of HTTP, not of this API
		}
		described := answer.Headers[name]
		for candidate, h := range answer.Headers {
			if http.CanonicalHeaderKey(candidate) == name {
				described = h
			}
		}
		if described == nil {
			err = errors.Join(err, fmt.Errorf("the header %s is not described", name))
			continue
		}
		var value any = header.Get(name)
		if number, fault := strconv.Atoi(header.Get(name)); fault == nil && bytes.Contains(described.Schema, []byte(`"integer"`)) {
			value = number
		}
		err = errors.Join(err, d.conforms(described.Schema, value))
	}
	content, ok := answer.Content[header.Get("Content-Type")]
	switch {
	case op.method == http.MethodHead, len(answer.Content) == 0 && len(body) == 0:
		return err
	case !ok:
		return errors.Join(err, fmt.Errorf("the content type %q is not described", header.Get("Content-Type")))
	case header.Get("Content-Type") != "application/json":
		return err
	}
	value, fault := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if fault == nil {
		fault = d.conforms(content.Schema, value)
	}
	return errors.Join(err, fault)
}

// A golden file has a request, its answer and the events that were stored.
type golden struct {
	request *http.Request
	body    []byte
	status  int
	header  http.Header
	answer  []byte
	events  string
}

func readGolden(t *testing.T, text string) (g golden) {
	t.Helper()
	given, rest, ok := strings.Cut(text, "\n--- answer\n")
	require.True(t, ok)
	rest, g.events, ok = strings.Cut(rest, "--- events\n")
	require.True(t, ok)

	head, body, _ := strings.Cut(given, "\n\n")
	first, headers, _ := strings.Cut(head, "\n")
	raw := first + " HTTP/1.1\nHost: in.example\n" + headers + "\n\n"
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.ReplaceAll(raw, "\n", "\r\n"))))
	require.NoError(t, err)
	g.request, g.body = r, []byte(body)
	if r.Method != http.MethodPost {
		g.body = nil
	}

	head, body, _ = strings.Cut(rest, "\n\n")
	code, headers, _ := strings.Cut(head, "\n")
	g.status, err = strconv.Atoi(code)
	require.NoError(t, err)
	g.header = http.Header{}
	for line := range strings.Lines(headers) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		g.header.Set(name, value)
	}
	g.answer = []byte(strings.TrimSuffix(body, "\n"))
	return g
}
