package main

import (
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
)

func newCompletion(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "Print what makes a shell complete sandbox's words",
		Long: `Prints a script for your shell, which completes commands, flags, and the tasks of the env file.` +
			"\n" + exitStatus,
		Example: `  source <(sandbox completion bash)                 # in ~/.bashrc
  source <(sandbox completion zsh)                  # in ~/.zshrc, after compinit
  sandbox completion fish > ~/.config/fish/completions/sandbox.fish`,
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"bash", "zsh", "fish"},
		RunE: func(cmd *cobra.Command, args []string) error {
			switch root := cmd.Root(); args[0] {
			case "zsh":
				return root.GenZshCompletion(a.out)
			case "fish":
				return root.GenFishCompletion(a.out, true)
			default:
				if err := root.GenBashCompletionV2(a.out, true); err != nil {
					return err
				}
				a.printf("%s", plainBash)
				return nil
			}
		},
	}
}

// plainBash is for machines without the package bash-completion, whose functions the generated script
// calls.
const plainBash = `
if ! declare -F _get_comp_words_by_ref >/dev/null 2>&1; then
    __sandbox_init_completion()
    {
        COMPREPLY=()
        words=("${COMP_WORDS[@]}")
        cword=$COMP_CWORD
        cur=${words[cword]}
        prev=${words[cword-1]}
    }
fi
`

// completeTasks completes the first word of a run: a task of the env file, else a file. It says nothing
// of what is wrong with the env file.
func (a *app) completeTasks(r *runFlags) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 || r.image != "" || r.from != "" {
			return nil, cobra.ShellCompDirectiveDefault
		}
		p, err := a.project(r.folder(), r.projectOptions())
		if err != nil {
			return nil, cobra.ShellCompDirectiveDefault
		}
		f, err := p.File()
		if err != nil {
			return nil, cobra.ShellCompDirectiveDefault
		}
		var out []string
		for name, t := range f.Tasks {
			if strings.HasPrefix(name, begun) {
				out = append(out, cobra.CompletionWithDesc(name, printable(t.About)))
			}
		}
		slices.Sort(out)
		return out, cobra.ShellCompDirectiveDefault
	}
}

// printable drops what would do something to a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, s)
}
