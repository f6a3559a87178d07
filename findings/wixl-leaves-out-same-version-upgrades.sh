#!/usr/bin/env bash
# wixl builds an MSI without what MajorUpgrade/@AllowSameVersionUpgrades and Property/@Secure ask for, and
# ends with status 0.
#
# Guess from memory: wixl reads WiX 3 sources, so that AllowSameVersionUpgrades="yes" makes the upper bound of
# the Upgrade table inclusive (Attributes has msidbUpgradeAttributesVersionMaxInclusive, 512), and
# Secure="yes" adds the property to SecureCustomProperties; what it does not know is an error.
# Behaviour (wixl 0.101): it has neither attribute, and passes over them. GLib warns on standard
# error, the status is 0. The row for older versions has Attributes 1, and its VersionMax is the product's own
# version, so that the same version is no upgrade. SecureCustomProperties has wixl's own two alone.
# Why it matters: a rebuilt package of one version does not take the place of the first build, whose
# product stays beside it; and a property from the command line does not reach the part of the
# installation that has rights, where Windows Installer restricts that.
#
# Output seen:
#   status 0, warnings: AllowSameVersionUpgrades Secure
#   Upgrade: VersionMax 1.2.3, Attributes 1
#   SecureCustomProperties: WIX_DOWNGRADE_DETECTED;WIX_UPGRADE_DETECTED
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for package in wixl=0.101+repack-1 msitools=0.101+repack-1 libmsi0=0.101+repack-1 libgcab-1.0-0=1.5-1 \
    libgsf-1-114 libgsf-1-common libglib2.0-0 libxml2 libicu72; do
    apt-get --quiet=2 download "$package" 2>/dev/null
done
for file in *.deb; do dpkg-deb --extract "$file" tools; done
LD_LIBRARY_PATH=$work/tools/usr/lib/$(dpkg --print-architecture | sed s/amd64/x86_64/)-linux-gnu
export LD_LIBRARY_PATH

echo "a file" > file.txt
cat > tool.wxs <<'XML'
<?xml version="1.0" encoding="utf-8"?>
<Wix xmlns="http://schemas.microsoft.com/wix/2006/wi">
  <Product Id="*" Name="Sample" Version="1.2.3" Language="1033" Manufacturer="Nobody"
           UpgradeCode="6B0D6C5E-3E0F-4F0A-9B1B-0C9D3F1A7E55">
    <Package InstallerVersion="500" Compressed="yes"/>
    <Media Id="1" Cabinet="sample.cab" EmbedCab="yes"/>
    <MajorUpgrade AllowSameVersionUpgrades="yes" DowngradeErrorMessage="A newer one is there."/>
    <Property Id="SERVER" Secure="yes"/>
    <Directory Id="TARGETDIR" Name="SourceDir">
      <Directory Id="ProgramFilesFolder">
        <Directory Id="Folder" Name="Sample">
          <Component Id="Part" Guid="*"><File Id="Content" Source="file.txt" KeyPath="yes"/></Component>
        </Directory>
      </Directory>
    </Directory>
    <Feature Id="All" Level="1"><ComponentRef Id="Part"/></Feature>
  </Product>
</Wix>
XML
status=0
tools/usr/bin/wixl --output sample.msi tool.wxs 2> said || status=$?
warned=$(sed -n "s/.*has no property named '\(.*\)'.*/\1/p" said | xargs)
table() { tools/usr/bin/msiinfo export sample.msi "$1" | tr -d '\r'; }
upgrade=$(table Upgrade | awk -F '\t' '$NF == "WIX_UPGRADE_DETECTED" {print "VersionMax " $3 ", Attributes " $5}')
secure=$(table Property | sed -n 's/^SecureCustomProperties\t//p')

seen="status $status, warnings: $warned
Upgrade: $upgrade
SecureCustomProperties: $secure"
echo "$seen"
[ "$seen" = "status 0, warnings: AllowSameVersionUpgrades Secure
Upgrade: VersionMax 1.2.3, Attributes 1
SecureCustomProperties: WIX_DOWNGRADE_DETECTED;WIX_UPGRADE_DETECTED" ]
