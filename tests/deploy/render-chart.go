// Renders a Helm chart's templates as helm does: Go's template engine, the same functions. Without its releases, hooks and dependencies.
// usage: go run render-chart.go CHART < CONTEXT     CONTEXT: JSON with Values, Release, Chart; the merged values, not checked here
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"gopkg.in/yaml.v3"
)

func toYaml(value interface{}) (string, error) {
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	err := encoder.Encode(value)
	return strings.TrimSuffix(out.String(), "\n"), err
}

func render(chart string, context map[string]interface{}) error {
	all := template.New("chart").Option("missingkey=zero")
	functions := sprig.TxtFuncMap()
	functions["toYaml"] = toYaml
	functions["include"] = func(name string, data interface{}) (string, error) {
		var out bytes.Buffer
		err := all.ExecuteTemplate(&out, name, data)
		return out.String(), err
	}
	all.Funcs(functions)

	base := filepath.Base(chart) + "/templates"
	context["Template"] = map[string]interface{}{"BasePath": base}
	files, err := filepath.Glob(filepath.Join(chart, "templates", "*"))
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if _, err := all.New(base + "/" + filepath.Base(file)).Parse(string(text)); err != nil {
			return err
		}
	}
	for _, file := range files {
		name := filepath.Base(file)
		if strings.HasPrefix(name, "_") || strings.HasSuffix(name, ".txt") {
			continue
		}
		var out bytes.Buffer
		if err := all.ExecuteTemplate(&out, base+"/"+name, context); err != nil {
			return err
		}
		fmt.Printf("---\n%s\n", out.String())
	}
	return nil
}

func main() {
	var context map[string]interface{}
	err := json.NewDecoder(os.Stdin).Decode(&context)
	if err == nil {
		err = render(os.Args[1], context)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
