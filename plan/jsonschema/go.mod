module github.com/inlet-go/inlet/plan/jsonschema

go 1.26.0

replace github.com/inlet-go/inlet => ../..

require (
	github.com/google/jsonschema-go v0.4.3
	github.com/inlet-go/inlet v0.0.0
	github.com/santhosh-tekuri/jsonschema/v6 v6.0.3
	github.com/stretchr/testify v1.12.1
	golang.org/x/text v0.39.0
)

require (
	github.com/go-json-experiment/json v0.0.0-20260820222146-c27c302e5fc3 // indirect
	github.com/klauspost/compress v1.20.3 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
)
