package main

import (
	"github.com/spf13/cobra"
)

func newShell(a *app) *cobra.Command {
	var r runFlags
	var resume bool
	cmd := &cobra.Command{
		Use:   "shell [flags] [COMMAND ARGS…]",
		Short: "An interactive shell in the environment",
		Long: `Opens a shell in the project's environment. What you install in it is kept for a week:
shell --resume goes on with the last one of this project.` + "\n" + exitStatusRun,
		Example: `  sandbox shell
  sandbox shell --resume
  sandbox shell --name try           keep it until sandbox rm try`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			a.isRun = true
			o, err := a.runOptions(&r, args)
			if err != nil {
				return usage(cmd, err)
			}
			m, err := a.open()
			if err != nil {
				return err
			}
			if r.image != "" {
				if len(o.Args) == 0 {
					o.Args = []string{"/bin/sh"}
				}
				o.Shell = true
				exit, err := m.RunImage(cmd.Context(), r.image, r.network, o)
				a.code = exit.Status()
				return err
			}
			p, err := m.Project(r.folder(), r.projectOptions())
			if err != nil {
				return err
			}
			exit, err := p.Shell(cmd.Context(), resume, o)
			if err != nil {
				return err
			}
			a.code = exit.Status()
			return nil
		},
	}
	r.add(a, cmd)
	cmd.Flags().BoolVar(&resume, "resume", false, "go on with this project's last shell")
	return cmd
}

func newPlan(a *app) *cobra.Command {
	var r runFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "plan [flags] [TASK or COMMAND] [ARGS…]",
		Short: "Show what a run would do, with the reason of each operation",
		Long:  "Prints every operation that a start consists of, and why. Nothing is started." + "\n" + exitStatus,
		Example: `  sandbox plan train
  sandbox plan --json true | jq .ops`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := a.runOptions(&r, args)
			if err != nil {
				return usage(cmd, err)
			}
			p, err := a.project(r.dir, r.projectOptions())
			if err != nil {
				return err
			}
			o.Command = cmd.ArgsLenAtDash() == 0
			s, err := p.Plan(cmd.Context(), o)
			if err != nil {
				return err
			}
			if asJSON {
				return a.json(s)
			}
			a.printPlan(s)
			return nil
		},
	}
	r.add(a, cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	cmd.ValidArgsFunction = a.completeTasks(&r)
	return cmd
}
