package openapi_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/openapi"
)

const description = `{"openapi":"3.1.0","tags":[{"name":"a"},{"name":"b"}],"components":{"x":1},"paths":{
	"/a":{"post":{"tags":["a"]}},
	"/b":{"get":{"tags":["b"]},"parameters":[]},
	"/both":{"post":{"tags":["b","a"]}},
	"/each":{"parameters":[{"in":"path"}],"get":{"tags":["a"]},"post":{"tags":["b"]}}}}`

func TestOnly(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		names []string
		want  string
	}{
		{"one", []string{"a"}, `{"openapi":"3.1.0","tags":[{"name":"a"}],"components":{"x":1},"paths":{
			"/a":{"post":{"tags":["a"]}},
			"/both":{"post":{"tags":["b","a"]}},
			"/each":{"parameters":[{"in":"path"}],"get":{"tags":["a"]}}}}`},
		{"all", []string{"b", "a", "c"}, description},
		{"none", nil, `{"openapi":"3.1.0","tags":[],"components":{"x":1},"paths":{}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := openapi.Only([]byte(description), tt.names)
			require.NoError(t, err)
			require.JSONEq(t, tt.want, string(got))
		})
	}
	t.Run("what is no description", func(t *testing.T) {
		t.Parallel()
		for _, text := range []string{``, `[]`, `{}`, `{"paths":[]}`, `{"paths":{},"tags":{}}`, `{"paths":{"/a":1},"tags":[]}`, `{"paths":{"/a":{"get":1}},"tags":[]}`} {
			_, err := openapi.Only([]byte(text), nil)
			require.Error(t, err, text)
		}
	})
}
