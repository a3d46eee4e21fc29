package cdi

import (
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// maxKeys is how many keys one mapping may have. What a description has most of are annotations.
const maxKeys = 256

// tame refuses documents that the YAML decoder takes too long for. Reading them into a tree takes time
// and memory in proportion to their size; decoding the tree compares each key of a mapping with each
// other one and remembers a message for each pair that is equal, and follows aliases. 900 KB of the line
// "a:" end a machine with 16 GiB that way. No tool writes such things.
func tame(b []byte) error {
	var doc yaml.Node
	if err := yaml.Unmarshal(b, &doc); err != nil {
		return err
	}
	return tameNode(&doc)
}

func tameNode(n *yaml.Node) error {
	if n.Kind == yaml.AliasNode {
		return fmt.Errorf("line %d: anchors and aliases are not read", n.Line)
	}
	if n.Kind == yaml.MappingNode {
		if len(n.Content) > 2*maxKeys {
			return fmt.Errorf("line %d: a mapping with more than %d keys", n.Line, maxKeys)
		}
		keys := map[string]bool{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			k := n.Content[i]
			if k.Kind != yaml.ScalarNode {
				return fmt.Errorf("line %d: a key that is no text", k.Line)
			}
			if keys[k.Value] {
				return fmt.Errorf("line %d: a key that is there twice: %s", k.Line, printable(k.Value))
			}
			keys[k.Value] = true
		}
	}
	for _, c := range n.Content {
		if c == nil {
			return errors.New("an entry of a list is empty")
		}
		if err := tameNode(c); err != nil {
			return err
		}
	}
	return nil
}
