package config

import (
	"fmt"
	"reflect"
	"strings"
)

func quoted(items []string) (list []string) {
	for _, s := range items {
		list = append(list, fmt.Sprintf("%q", s))
	}
	return list
}

// Sample is a configuration file with every key at its default, commented out
// below its line of help. The repository's config.sample.yaml is this text.
func Sample() string {
	var b strings.Builder
	b.WriteString("# Bridgehead configuration. Every key may be left out; what is shown is the default.\n" +
		"# The same keys work as BRIDGEHEAD_LISTEN_HTTPS in the environment and --listen.https as flags.\n")
	section := ""
	for _, f := range fields() {
		parent, name, nested := strings.Cut(f.key, ".")
		indent := ""
		if !nested {
			name = f.key
		} else {
			indent = "  "
			if parent != section {
				section = parent
				fmt.Fprintf(&b, "\n%s:\n", section)
			}
		}
		value := fmt.Sprintf("%q", f.fallback)
		switch f.kind {
		case reflect.Int, reflect.Bool:
			value = f.fallback
		case reflect.Slice:
			value = "[]"
			if items := list(f.fallback); len(items) > 0 {
				value = "[" + strings.Join(quoted(items), ", ") + "]"
			}
		}
		fmt.Fprintf(&b, "%s# %s\n%s%s: %s\n", indent, f.help, indent, name, value)
	}
	return b.String()
}
