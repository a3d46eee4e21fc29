package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/sandbox"
)

func newTrust(a *app) *cobra.Command {
	var yes, asJSON bool
	cmd := &cobra.Command{
		Use:   "trust",
		Short: "Show what the env file asks of this machine, and agree to it",
		Long: `A committed env file only declares what it wants of a machine: host folders, variables, secrets,
devices. trust shows exactly that and asks once; it asks again when the list changes. With --json it is only
shown, unless --yes is given, too.` + "\n" + exitStatus,
		Example: `  sandbox trust
  sandbox trust --yes      in a script`,
		Args: cobra.NoArgs,
	}
	dir, profiles := projectFlags(a, cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "agree without a question")
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		p, err := a.project(*dir, sandbox.ProjectOptions{Profiles: *profiles})
		if err != nil {
			return err
		}
		asks, agreed, err := p.Asks()
		if err != nil {
			return err
		}
		if yes && len(asks) > 0 {
			if err := p.Trust(); err != nil {
				return err
			}
			agreed = true
		}
		if asJSON {
			return a.json(asksJSON(asks, agreed))
		}
		return a.trust(p, asks, yes, agreed)
	}
	return cmd
}

// askOut is one thing that is asked for, as scripts get it.
type askOut struct {
	Key   string `json:"key"`
	What  string `json:"what"`
	More  string `json:"more,omitempty"`
	About string `json:"about,omitempty"`
	At    string `json:"at"`
}

type asksOut struct {
	Asks   []askOut `json:"asks"`
	Agreed bool     `json:"agreed"`
}

func asksJSON(w envfile.Wants, agreed bool) asksOut {
	o := asksOut{Agreed: agreed}
	for _, x := range w {
		o.Asks = append(o.Asks, askOut{x.Key, x.Words, x.More, x.About, x.Pos.String()})
	}
	return o
}

// askText is one thing in words. What the project says of it is quoted: it is the project's word.
func askText(w envfile.Want) string {
	s := w.Words
	if w.More != "" {
		s += " " + w.More
	}
	if w.About != "" {
		s += fmt.Sprintf(" (the project says: %q)", w.About)
	}
	return s + "   " + w.Pos.String()
}

// trust says what is asked and asks whoever sits here.
func (a *app) trust(p *sandbox.Project, asks envfile.Wants, yes, agreed bool) error {
	if len(asks) == 0 {
		a.printf("this project asks for nothing of your machine\n")
		return nil
	}
	a.printf("this project asks for things of your machine:\n")
	for _, w := range asks {
		a.printf("  %s\n", askText(w))
	}
	if yes {
		return nil
	}
	if agreed {
		a.notice("you have agreed to exactly this")
		return nil
	}
	ok, err := a.ask("agree?")
	if err != nil {
		return err
	}
	if !ok {
		return &usageError{fmt.Errorf("not agreed; nothing changed"), "sandbox trust --yes agrees without a question"}
	}
	return p.Trust()
}
