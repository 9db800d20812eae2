<?xml version="1.0"?>
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
  <xsl:output method="text"/>
  <xsl:key name="paid" match="order" use="@paid"/>
  <xsl:template match="/orders">
    <xsl:for-each select="order">
      <xsl:sort select="customer" order="descending"/>
      <xsl:value-of select="concat(@id, ': ', customer, ', ', count(item))"/>
      <xsl:text>&#10;</xsl:text>
    </xsl:for-each>
    <xsl:value-of select="count(key('paid', 'yes'))"/>
  </xsl:template>
</xsl:stylesheet>
