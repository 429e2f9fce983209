const platforms = [
  "linux_amd64",
  "linux_arm64",
  "linux_armv7",
  "darwin_amd64",
  "darwin_arm64",
  "windows_amd64",
  "windows_arm64",
] as const;

/**
 * `CODER_AGENT_SCRIPT_<os>_<arch>` for the seven platforms, `${ARCH}` filled in (spec/03 §4.6). `${ACCESS_URL}` and
 * `${AUTH_TYPE}` are the provider's to replace. `given` are the deployment's own texts; ours stand in for missing ones.
 */
export function bootstrapVariables(given: Record<string, string>): Record<string, string> {
  const variables: Record<string, string> = {};
  for (const platform of platforms) {
    const [os, arch] = platform.split("_") as [keyof typeof ours, string];
    variables[`CODER_AGENT_SCRIPT_${platform}`] = (given[platform] ?? ours[os]).replaceAll("${ARCH}", arch);
  }
  return variables;
}

/*
 * The texts end up in states and in attributes that can't change without replacing the resource: a changed byte here
 * replaces machines. Keep them as they are; a fix is worth that only where the script would not start an agent at all.
 */

const shell = (os: "linux" | "darwin", folder: string, extra: string) => `#!/bin/sh
set -u
# Whoever looks into a workspace that did not start finds it still there.
fail() {
	status=$?
	[ "$#" -gt 0 ] && status="$1"
	echo "workspace agent did not start: status $status" >&2
	sleep 86400
	exit "$status"
}
BINARY_URL="\${ACCESS_URL}bin/coder-${os}-\${ARCH}"
${folder}
cd "$BINARY_DIR" || fail
while :; do
	status=127
${fetchers(os)}
	[ "$status" -eq 0 ] && break
	if [ "$status" -eq 127 ]; then
		echo "no program to download $BINARY_URL with" >&2
		fail 127
	fi
	echo "download of $BINARY_URL failed with status $status, next try in 30 s" >&2
	sleep 30
done
chmod +x coder || fail
${extra}case "$(./coder --version | head -n 1)" in
*Coder*) ;;
*)
	echo "$BINARY_URL is not the Coder binary" >&2
	fail 1
	;;
esac
export CODER_AGENT_AUTH="\${AUTH_TYPE}"
export CODER_AGENT_URL="\${ACCESS_URL}"
exec ./coder agent || fail
`;

function fetchers(os: "linux" | "darwin"): string {
  const all = [
    ["command -v curl", 'curl -fsSL --compressed "$BINARY_URL" -o coder'],
    ["command -v wget", 'wget -q "$BINARY_URL" -O coder'],
    ["command -v busybox", 'busybox wget -q "$BINARY_URL" -O coder'],
  ];
  const tries = os === "darwin" ? all.slice(0, 1) : all;
  return tries
    .map(([test, get], index) => `	${index ? "elif" : "if"} ${test} >/dev/null 2>&1; then\n		${get}\n		status=$?`)
    .concat("	fi")
    .join("\n");
}

const netAdmin = `if [ -n "\${USE_CAP_NET_ADMIN:-}" ]; then
	setcap CAP_NET_ADMIN+ep ./coder 2>/dev/null || sudo -n setcap CAP_NET_ADMIN+ep ./coder 2>/dev/null ||
		echo "the agent goes on without CAP_NET_ADMIN" >&2
fi
`;

const powershell = `$ErrorActionPreference = "Stop"
$ProgressPreference = "SilentlyContinue"
# VS Code Remote looks for a parent process of this name.
$binary = Join-Path $env:TEMP "sshd.exe"
$url = "\${ACCESS_URL}/bin/coder-windows-\${ARCH}.exe"
try {
	if (Get-Command Add-MpPreference -ErrorAction SilentlyContinue) {
		try { Add-MpPreference -ExclusionPath $binary } catch { Write-Output "no Defender exclusion: $_" }
	}
	[Net.ServicePointManager]::SecurityProtocol = [Net.SecurityProtocolType]::Tls12
	while ($true) {
		try {
			Invoke-WebRequest -Uri $url -OutFile $binary -UseBasicParsing
			break
		} catch {
			Write-Output "download of $url failed, next try in 30 s: $_"
			Start-Sleep -Seconds 30
		}
	}
	if (-not ((& $binary --version | Select-Object -First 1) -match "Coder")) { throw "$url is not the Coder binary" }
	$env:CODER_AGENT_AUTH = "\${AUTH_TYPE}"
	$env:CODER_AGENT_URL = "\${ACCESS_URL}"
	if (Get-Service cexecsvc -ErrorAction SilentlyContinue) {
		# In a container the agent is what keeps it alive.
		& $binary agent
		if ($LASTEXITCODE -ne 0) { throw "the agent ended with status $LASTEXITCODE" }
	} else {
		Start-Process -FilePath $binary -ArgumentList "agent" -PassThru
	}
} catch {
	Write-Output "workspace agent did not start: $_"
	Start-Sleep -Seconds 86400
	exit 1
}
`;

const ours = {
  linux: shell("linux", 'BINARY_DIR="${BINARY_DIR:-$(mktemp -d -t coder.XXXXXX)}"', netAdmin),
  darwin: shell("darwin", 'BINARY_DIR="$(mktemp -d -t coder.XXXXXX)"', ""),
  windows: powershell,
};
