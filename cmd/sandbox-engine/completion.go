package main

import (
	"os"
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/4cc2e759/sandbox/sandbox"
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
				out = append(out, cobra.CompletionWithDesc(name, visible(t.About)))
			}
		}
		slices.Sort(out)
		return out, cobra.ShellCompDirectiveDefault
	}
}

// listing gives words to choose from; nil for none, or where they cannot be known.
type listing func() []string

func words(w ...string) listing { return func() []string { return w } }

// completeFlag completes the value of a flag.
func (a *app) completeFlag(cmd *cobra.Command, flag string, list listing) {
	if cmd.Flags().Lookup(flag) == nil {
		panic("no flag --" + flag)
	}
	_ = cmd.RegisterFlagCompletionFunc(flag, a.completeNames(true, list)) // it fails for a flag that is not there, or twice
}

// completeNames completes arguments, or only the first.
func (a *app) completeNames(every bool, list listing) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 && !every {
			return nil, cobra.ShellCompDirectiveDefault
		}
		var out []string
		for _, w := range list() {
			if strings.HasPrefix(w, begun) && !slices.Contains(args, w) {
				out = append(out, visible(w))
			}
		}
		slices.Sort(out)
		return slices.Compact(out), cobra.ShellCompDirectiveDefault
	}
}

// stored opens the store for its names, if there is one: looking makes none.
func (a *app) stored() *sandbox.Manager {
	m, err := a.open()
	if err != nil {
		return nil
	}
	if _, err := os.Stat(m.StoreDir()); err != nil {
		return nil
	}
	return m
}

func (a *app) sandboxNames() (out []string) {
	if m := a.stored(); m != nil {
		list, _ := m.Sandboxes()
		for _, s := range list {
			out = append(out, s.Name)
		}
	}
	return out
}

func (a *app) imageNames() (out []string) {
	if m := a.stored(); m != nil {
		list, _ := m.Images()
		for _, i := range list {
			out = append(out, i.Ref)
		}
	}
	return out
}

func (a *app) profileNames(dir *string) listing {
	return func() []string {
		p, err := a.project(*dir, sandbox.ProjectOptions{})
		if err != nil {
			return nil
		}
		names, _ := p.Profiles()
		return names
	}
}

// completePackages completes what the env file names already, to take it away.
func (a *app) completePackages(dir *string, apt *bool) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		return a.completeNames(true, func() []string {
			p, err := a.project(*dir, sandbox.ProjectOptions{})
			if err != nil {
				return nil
			}
			f, err := p.File()
			if err != nil {
				return nil
			}
			if *apt {
				return f.Apt.Packages
			}
			return f.Python.Packages
		})(cmd, args, begun)
	}
}

// visible drops what would do something to a terminal.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, s)
}
