package envfile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// The documents below docs/ are written from the table of keys: go test ./envfile -update.
func TestDocumentsAreUpToDate(t *testing.T) {
	for name, text := range map[string][]byte{
		"../docs/schema.md":           schemaMarkdown(),
		"../docs/sandbox.schema.json": schemaJSON(),
		"../README.md":                readme(t),
	} {
		have, err := os.ReadFile(name)
		if bytes.Equal(have, text) {
			continue
		}
		if !*update {
			t.Errorf("%s is out of date (%v): run go test ./envfile -update", name, err)
			continue
		}
		if err := os.WriteFile(name, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// readme is README.md with what this version lacks between two marks.
func readme(t *testing.T) []byte {
	const from, to = "<!-- written by go test ./envfile -update -->\n", "<!-- end -->"
	have, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(have), from)
	_, tail, ok2 := strings.Cut(rest, to)
	if !ok || !ok2 {
		t.Fatal("README.md has no place for what this version lacks")
	}
	var refused, idle []string
	for _, row := range projectKeys() {
		name := "`" + row.path + "`"
		switch {
		case row.idle:
			idle = append(idle, name)
		case row.later == nil:
		case row.values == nil:
			refused = append(refused, name)
		default:
			for _, v := range row.values {
				if fileSpec().find(row.path).isLater(v) {
					refused = append(refused, fmt.Sprintf("`%s = %q`", row.path, v))
				}
			}
		}
	}
	return []byte(head + from + "Refused: " + strings.Join(refused, ", ") + ".\nWithout an effect yet, as nothing here would use them: " +
		strings.Join(idle, ", ") + ".\n" + to + tail)
}

const schemaIntro = `# sandbox.toml, schema 1

<!-- written by go test ./envfile -update from the table of keys in envfile -->

The file is data only: reading it executes nothing. An unknown key, a wrong type or a wrong value is an
error with its place. [sandbox.schema.json](sandbox.schema.json) is the same table for editors.

Marks: **L** enters the lock and the environment's digest · **E** enters an exported image's
configuration · **P** a profile and sandbox.local.toml may change it · **H** touches the machine, so it
takes effect only after ` + "`sandbox trust`" + ` (of mounts only kind host, of ports only those beyond loopback, of
steps and dockerfiles only those with network or secrets; a path that leaves the project counts, too).

NAME stands for a name of your own, [] for each of several tables: ` + "`[[step]]`" + `.

A **size** has a unit: ` + "`\"16GiB\"`, `\"500MB\"`" + `. A **duration** is ` + "`\"90s\"`, `\"10m\"`, `\"12h\"` or `\"7d\"`" + `. A **path** is relative to
the file that holds it.
`

func schemaMarkdown() []byte {
	var b bytes.Buffer
	b.WriteString(schemaIntro + "\n## sandbox.toml\n")
	writeRows(&b, projectKeys(), fileSpec())
	b.WriteString("\n## Below `[profile.NAME]`\n\nEvery key marked P, and\n")
	writeRows(&b, profileKeys(), fileSpec().find("profile.NAME"))
	b.WriteString("\n## sandbox.local.toml\n\nThis machine's own file, never committed; it is merged as the last profile. Every key marked P, and\n")
	writeRows(&b, bindKeys(), localSpec())
	b.WriteString("\n## ~/.config/sandbox/config.toml\n\nThe user's configuration, for all projects. `[bind.*]` as above, and\n")
	writeRows(&b, userKeys(), userSpec())
	return b.Bytes()
}

// writeRows writes one list of rows for every first component of the keys.
func writeRows(b *bytes.Buffer, rows []keyDef, spec *keySpec) {
	group := "none yet"
	for _, row := range rows {
		top, _, below := strings.Cut(row.path, ".")
		top = strings.TrimSuffix(top, "[]")
		if !below && row.typ != typeTable && row.typ != typeTables {
			top = ""
		}
		if top != group {
			group = top
			if top != "" {
				fmt.Fprintf(b, "\n### `%s`\n\n%s.\n", header(row), upperFirst(row.doc+likeWords(row)))
			}
			if row.like == "" {
				b.WriteString("\n| key | type | default | | meaning |\n|---|---|---|---|---|\n")
			}
		}
		if top == row.path && row.names == nil && (row.flags == "" || row.typ == typeTables) || row.like != "" && !below {
			continue
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s |\n", row.path, typeWords(row), defaultWords(row), spec.find(row.path).flags, escapeCell(row.doc+likeWords(row)+laterWords(row)))
	}
}

// laterWords says what this version does not have.
func laterWords(row keyDef) string {
	switch {
	case row.idle:
		return "; **no effect in this version**"
	case row.later == nil:
		return ""
	case row.values != nil && !slices.Equal(row.later, anyValue()):
		return "; **not in this version:** `" + strings.Join(row.later, "`, `") + "`"
	case row.def != "":
		return "; **only the default in this version**"
	}
	return "; **not in this version**"
}

func header(row keyDef) string {
	if row.typ == typeTables {
		return "[[" + row.path + "]]"
	}
	return "[" + row.path + "]"
}

func upperFirst(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

func defaultWords(row keyDef) string {
	switch {
	case row.required:
		return "required"
	case row.def == "":
		return ""
	case strings.HasPrefix(row.def, `"`) && strings.Count(row.def, `"`) == 2, strings.HasPrefix(row.def, "["), row.typ == typeBool, row.typ == typeInt:
		return "`" + row.def + "`"
	}
	return row.def
}

func likeWords(row keyDef) string {
	if row.like == "" || strings.HasPrefix(row.doc, "as ") {
		return ""
	}
	return " (keys as in `" + row.like + "`)"
}

func typeWords(row keyDef) string {
	if row.values != nil {
		words := "`" + strings.Join(row.values, "`, `") + "`"
		if row.typ == typeList {
			return "list of " + words
		}
		return words
	}
	if row.names != nil {
		return "table of `" + strings.Join(row.names, "`, `") + "`"
	}
	return map[valueType]string{
		typeAny: "anything", typeText: "string", typeInt: "whole number", typeBool: "true or false", typeNumber: "number",
		typeSize: "size", typeDuration: "duration", typeDate: "date or time", typeMode: "permission bits", typeList: "list of strings",
		typeCommand: "string or list", typeSdist: "string or list", typeTable: "table", typeTables: "tables",
	}[row.typ]
}

// escapeCell keeps what a table's cell would take for markup.
func escapeCell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

func schemaJSON() []byte {
	root := jsonOf(fileSpec())
	root["$schema"] = "http://json-schema.org/draft-07/schema#"
	root["title"] = "sandbox.toml, schema 1"
	root["$comment"] = "written by go test ./envfile -update from the table of keys in envfile"
	b, err := json.MarshalIndent(root, "", " ")
	if err != nil {
		panic(err)
	}
	return append(b, '\n')
}

type object = map[string]any

// jsonOf describes one key for editors. It says less than the checks do: no grammar of strings.
func jsonOf(k *keySpec) object {
	out := object{}
	if k.doc != "" {
		out["description"] = k.doc + strings.NewReplacer("**", "", "`", "").Replace(laterWords(k.keyDef))
	}
	text := object{"type": "string"}
	if k.values != nil {
		text["enum"] = k.values
	}
	list := object{"type": "array", "items": text, "uniqueItems": true}
	put := func(from object) {
		for key, v := range from {
			out[key] = v
		}
	}
	switch k.typ {
	case typeText, typeSize, typeDuration:
		put(text)
	case typeDate:
		out["type"] = "string"
	case typeInt:
		put(object{"type": "integer", "minimum": 1})
	case typeNumber:
		put(object{"type": "number", "exclusiveMinimum": 0})
	case typeBool:
		out["type"] = "boolean"
	case typeMode:
		out["type"] = []string{"string", "integer"}
	case typeList:
		put(list)
	case typeCommand:
		out["oneOf"] = []any{text, object{"type": "array", "items": text, "minItems": 1}}
	case typeSdist:
		out["oneOf"] = []any{object{"enum": []string{"deny", "allow"}}, list}
	case typeTables:
		put(object{"type": "array", "items": jsonOf(k.any)})
	case typeTable:
		put(jsonTable(k))
	}
	return out
}

func jsonTable(k *keySpec) object {
	out := object{"type": "object", "additionalProperties": false}
	props := object{}
	var required []string
	for _, name := range k.order {
		kid := k.kids[name]
		if kid.denied != "" {
			continue
		}
		props[name] = jsonOf(kid)
		// A profile or another table may complete a table with a name; those of an array stand alone.
		if kid.required && strings.Contains(kid.path, "[]") {
			required = append(required, name)
		}
	}
	for _, name := range k.names {
		props[name] = jsonOf(k.any)
	}
	if len(props) > 0 {
		out["properties"] = props
	}
	if required != nil {
		out["required"] = required
	}
	if k.any != nil && k.names == nil {
		out["additionalProperties"] = jsonOf(k.any)
	}
	return out
}

// Every row must be reachable: a typing mistake in a path would make a key that nothing reads.
func TestTableOfKeysIsWhole(t *testing.T) {
	for _, rows := range [][]keyDef{projectKeys(), profileKeys(), bindKeys(), userKeys()} {
		seen := map[string]bool{}
		for _, row := range rows {
			if seen[row.path] {
				t.Errorf("%s stands twice in the table", row.path)
			}
			seen[row.path] = true
			if row.doc == "" || strings.HasSuffix(row.doc, ".") {
				t.Errorf("%s has no proper words: %q", row.path, row.doc)
			}
			if strings.Trim(row.flags, "LEPH") != "" {
				t.Errorf("%s has other marks: %s", row.path, row.flags)
			}
			if row.typ == typeAny && !strings.HasSuffix(row.path, ".NAME") {
				t.Errorf("%s takes anything", row.path)
			}
			if up, _, ok := cutLast(row.path); ok && !seen[up] {
				t.Errorf("%s stands before or without %s", row.path, up)
			}
		}
	}
}

func cutLast(path string) (up, last string, ok bool) {
	i := strings.LastIndexByte(path, '.')
	if i < 0 {
		return "", path, false
	}
	return strings.TrimSuffix(path[:i], "[]"), path[i+1:], true
}
